"""Tensors from raw bytes; their sizes are compared with the number of bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from fxpasses.export.pt2_records import tensors
from fxpasses.export.pt2_records.archive import CONFIGS, CONSTANTS, WEIGHTS
from fxpasses.export.pt2_records.records import RefusedError

DATA = torch.arange(6, dtype=torch.int32)


def _sizes(*sizes: int) -> list[dict[str, int]]:
    return [{"as_int": size} for size in sizes]


def _payload(entry: str = "weight_0", **changed: Any) -> dict[str, Any]:
    meta: dict[str, Any] = {"dtype": 4, "sizes": _sizes(2, 3), "strides": _sizes(3, 1), "storage_offset": {"as_int": 0}}
    meta |= {"requires_grad": False, "device": {"type": "cpu", "index": None}, "layout": 7}
    payload = {"path_name": entry, "is_param": False, "use_pickle": False}
    return (
        payload
        | {"tensor_meta": meta | {k: v for k, v in changed.items() if k in meta}}
        | {k: v for k, v in changed.items() if k in payload}
    )


def _entries(**payloads: Any) -> dict[str, bytes]:
    return {
        CONFIGS[WEIGHTS]: json.dumps({"config": payloads}).encode(),
        CONFIGS[CONSTANTS]: b'{"config": {}}',
        "data/weights/weight_0": DATA.numpy().tobytes(),
    }


def test_values_views_and_shared_memory() -> None:
    turned = _payload(sizes=_sizes(3, 2), strides=_sizes(1, 3))
    row = _payload(sizes=_sizes(3), strides=_sizes(1), storage_offset={"as_int": 3})
    found = tensors.read_tensors(_entries(**{"a.weight": _payload(), "b": turned, "c": row}))
    assert torch.equal(found["a.weight"], DATA.reshape(2, 3))
    assert torch.equal(found["b"], DATA.reshape(2, 3).t())
    assert torch.equal(found["c"], DATA[3:])
    found["a.weight"][1, 0] = 99
    assert found["c"][0] == 99


def test_parameters() -> None:
    entries = _entries(w=_payload(dtype=7, is_param=True, requires_grad=True))
    found = tensors.read_tensors(entries)["w"]
    assert isinstance(found, torch.nn.Parameter) and found.requires_grad


def test_expanded_and_empty_tensors() -> None:
    entries = _entries(wide=_payload(sizes=_sizes(1000, 6), strides=_sizes(0, 1)), none=_payload(sizes=_sizes(0, 6)))
    found = tensors.read_tensors(entries)
    assert found["wide"].shape == (1000, 6) and found["none"].shape == (0, 6)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"sizes": _sizes(3, 3)}, "larger than the 6 elements"),
        ({"storage_offset": {"as_int": 1}}, "larger than the 6 elements"),
        ({"strides": _sizes(1000, 1)}, "larger than the 6 elements"),
        ({"sizes": _sizes(2**30, 2), "strides": _sizes(0, 1)}, "larger than the 6 elements"),
        ({"sizes": _sizes(5, 5), "strides": _sizes(1, 0)}, None),
        ({"strides": _sizes(1)}, "2 sizes and 1 strides"),
        ({"sizes": _sizes(-1, 3)}, "not between"),
        ({"sizes": [{"as_expr": {}}] * 2}, "is no number"),
        ({"sizes": _sizes(*[1] * 9), "strides": _sizes(*[1] * 9)}, "9 dimensions"),
        ({"dtype": 9}, "a dtype no saved graph has"),
        ({"device": {"type": "cuda", "index": 0}}, "not on the CPU"),
        ({"layout": 1}, "no dense tensor"),
        ({"use_pickle": True}, "a pickled object; reading it may run code"),
        ({"path_name": "../weight_0"}, "no tensor; reading it may run code"),
        ({"path_name": "weight_١"}, "no tensor"),
        ({"path_name": "weight_7"}, "there is no data/weights/weight_7"),
        ({"dtype": 12}, "neither 0 nor 1"),
    ],
)
def test_what_does_not_fit(changed: dict[str, Any], why: str | None) -> None:
    entries = _entries(w=_payload(**changed))
    if why is None:
        assert tensors.read_tensors(entries)["w"].shape == (5, 5)
        return
    with pytest.raises(RefusedError, match=why):
        tensors.read_tensors(entries)


def test_bytes_that_are_no_whole_numbers() -> None:
    with pytest.raises(RefusedError, match="23 bytes, which are no whole numbers"):
        tensors.read_tensors(_entries(w=_payload()) | {"data/weights/weight_0": bytes(23)})


def test_names() -> None:
    with pytest.raises(RefusedError, match="may run code"):
        tensors.read_tensors(_entries(**{'a"b': _payload()}))
    entries = _entries(w=_payload())
    entries[CONFIGS[CONSTANTS]] = json.dumps({"config": {"w": _payload("tensor_0")}}).encode()
    with pytest.raises(RefusedError, match="a weight and a constant"):
        tensors.read_tensors(entries)
