"""Bodies of inference requests that a server must refuse with 400, each for one reason."""

from __future__ import annotations

import json

from served import SHAPE, images, request_of


def changed(**changes: object) -> dict[str, object]:
    """A request whose one input is changed."""
    request = request_of(images(1))
    request["inputs"][0] |= changes
    return request


VALUES = SHAPE[0] * SHAPE[1] * SHAPE[2]
BODIES: dict[str, object] = {
    "nothing": b"",
    "no JSON": b"{",
    "no UTF-8": b'{"id": "\xff"}',
    "a list": [],
    "a number": 3,
    "deeply nested": b"[" * 50_000,
    "deeply nested object": b'{"a":' * 15_000,
    "NaN": b'{"inputs": [NaN]}',
    "a number of thousands of digits": b'{"inputs": ' + b"9" * 5000 + b"}",
    "no inputs": {},
    "inputs of text": {"inputs": "x"},
    "inputs of numbers": {"inputs": [1]},
    "no input": {"inputs": []},
    "twice the same": {"inputs": request_of(images(1))["inputs"] * 2},
    "another name": changed(name="y"),
    "a name that is a list": changed(name=["x"]),
    "another datatype": changed(datatype="FP64"),
    "a datatype that is a list": changed(datatype=["FP32"]),
    "a huge shape": changed(shape=[10**9, *SHAPE]),
    "a shape past all integers": changed(shape=[10**400, *SHAPE]),
    "a negative size": changed(shape=[-1, *SHAPE]),
    "a size of zero": changed(shape=[0, *SHAPE], data=[]),
    "a size that is true": changed(shape=[True, *SHAPE]),
    "a size that is a float": changed(shape=[1.0, *SHAPE]),
    "another rank": changed(shape=[VALUES]),
    "another height": changed(shape=[1, 3, 7, 9]),
    "no shape": changed(shape=None),
    "too few values": changed(data=[0.0]),
    "no data": changed(data=None),
    "data of text": changed(data=["1.0"] * VALUES),
    "data of null": changed(data=[None] * VALUES),
    "data of bool": changed(data=[True] * VALUES),
    "data partly of text": changed(data=[0.0] * (VALUES - 1) + ["x"]),
    "ragged data": changed(data=[[0.0] * VALUES, [0.0]]),
    "data nested otherwise": changed(data=[[0.0] * VALUES]),
    "data nested deeper": changed(data=[[[[[0.0] * 7] * 9] * 3]]),
    "a value past float32": changed(data=[1e39] * VALUES),
    "a value past float64": changed(data=[10**400] * VALUES),
    "infinity": json.dumps(changed(data=[0.0] * VALUES)).replace("0.0", "1e999", 1).encode(),
    "more rows than allowed": request_of(images(9)),
    "an output that is not there": {**request_of(images(1)), "outputs": [{"name": "z"}]},
    "outputs of text": {**request_of(images(1)), "outputs": "z"},
    "an id that is a number": {**request_of(images(1)), "id": 3},
    "a long id": {**request_of(images(1)), "id": "x" * 2000},
    "an id that is half a character": json.dumps({**request_of(images(1)), "id": "\ud800"}).encode(),
}
