"""Tensors of the Open Inference Protocol, as JSON: everything that comes from a client is checked here.

``data`` is all values in row-major order, flat or nested as ``shape`` says. Values are taken as they are: ``"1"`` is no
number, ``true`` is no integer, NaN and infinity are none, and an integer must fit into its type.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fxpasses.layouts.deployed_model import DeployedModel, TensorSpec

from .refusal import Refusal

Array = np.ndarray[Any, Any]
DATATYPES = {
    **{"bool": "BOOL", "float16": "FP16", "float32": "FP32", "float64": "FP64"},
    **{f"uint{bits}": f"UINT{bits}" for bits in (8, 16, 32, 64)},
    **{f"int{bits}": f"INT{bits}" for bits in (8, 16, 32, 64)},
}
"""The protocol's name of each numpy type."""

_LARGEST = 2**31 - 1
"""Largest size of a dimension."""
_KINDS: dict[str, set[type]] = {"b": {bool}, "f": {int, float}}
"""Python types of JSON values by the kind of numpy type; values of all other kinds are integers."""


def tensor_metadata(spec: TensorSpec) -> dict[str, Any]:
    """An input or output as the protocol describes it; a free size is -1."""
    shape = [size if isinstance(size, int) else -1 for size in spec.shape]
    return {"name": spec.name, "datatype": DATATYPES[spec.dtype], "shape": shape}


def input_arrays(model: DeployedModel, request: Mapping[str, Any], max_batch: int) -> list[Array]:
    """The arrays of an inference request, in the order of the model's inputs.

    Raises:
        Refusal: an input is missing, unknown, given twice, or not as the model takes it.
    """
    given = request.get("inputs")
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise Refusal(400, "'inputs' must be a list of objects")
    names = [each.get("name") for each in given]
    expected = [spec.name for spec in model.inputs]
    if len(names) != len(expected) or any(name not in names for name in expected):
        raise Refusal(400, f"the model takes the inputs {expected}, each once")
    arrays = [_array(spec, given[names.index(spec.name)]) for spec in model.inputs]
    if model.is_batched:
        rows = {len(array) for array in arrays}
        if len(rows) > 1:
            raise Refusal(400, f"inputs have different numbers of rows: {sorted(rows)}")
        if max(rows) > max_batch:
            raise Refusal(400, f"{max(rows)} rows are more than the {max_batch} that one request may have")
    return arrays


def output_json(spec: TensorSpec, array: Array) -> dict[str, Any]:
    """An output of a response; float32 is written so that it reads back as the same float32.

    Raises:
        Refusal: it holds NaN or infinity, which JSON has no word for.
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise Refusal(400, f"for this input the model's output {spec.name!r} is not finite")
    datatype = DATATYPES[str(array.dtype)]
    return {"name": spec.name, "datatype": datatype, "shape": list(array.shape), "data": array.ravel().tolist()}


def wanted_outputs(model: DeployedModel, request: Mapping[str, Any]) -> list[int]:
    """Indices of the outputs that a request asks for; all outputs if it names none.

    Raises:
        Refusal: it asks for one that the model does not give.
    """
    asked = request.get("outputs")
    if asked is None or asked == []:
        return list(range(len(model.outputs)))
    names = [spec.name for spec in model.outputs]
    if not isinstance(asked, list) or not all(isinstance(each, dict) and each.get("name") in names for each in asked):
        raise Refusal(400, f"'outputs' must be a list of objects whose 'name' is one of {names}")
    return [names.index(each["name"]) for each in asked]


def _array(spec: TensorSpec, given: Mapping[str, Any]) -> Array:
    datatype, shape = DATATYPES[spec.dtype], given.get("shape")
    if given.get("datatype") != datatype:
        raise Refusal(400, f"input {spec.name!r} must have the datatype {datatype}")
    why = _why_not_shape(spec, shape)
    if why:
        raise Refusal(400, f"input {spec.name!r}: {why}")
    assert isinstance(shape, list)
    values = _flat(spec, given.get("data"), shape)
    return _typed(spec, values).reshape(shape)


def _why_not_shape(spec: TensorSpec, shape: object) -> str | None:
    """Why the model does not take a shape; None if it does."""
    if not isinstance(shape, list) or not all(type(size) is int and 0 < size <= _LARGEST for size in shape):
        return "'shape' must be a list of positive whole numbers"
    expected = [size if isinstance(size, int) else -1 for size in spec.shape]
    fits = len(shape) == len(expected) and all(want in (-1, size) for want, size in zip(expected, shape, strict=True))
    return None if fits else f"'shape' must be {expected}, where -1 is any size"


def _flat(spec: TensorSpec, data: object, shape: list[int]) -> list[Any]:
    """All values, whether they came flat or nested."""
    wrong = Refusal(400, f"input {spec.name!r}: 'data' must be {math.prod(shape)} values, flat or nested as {shape}")
    if not isinstance(data, list) or not data:
        raise wrong
    if not isinstance(data[0], list):
        if len(data) != math.prod(shape):
            raise wrong
        return data
    level: list[Any] = [data]
    for size in shape:
        if not all(isinstance(part, list) and len(part) == size for part in level):
            raise wrong
        level = [value for part in level for value in part]
    return level


def _typed(spec: TensorSpec, values: list[Any]) -> Array:
    """The values in the input's type; a value of another kind is refused and never converted."""
    kind, found = np.dtype(spec.dtype).kind, set(map(type, values))
    allowed = _KINDS.get(kind, {int})
    if not found <= allowed:
        raise Refusal(400, f"input {spec.name!r}: 'data' holds something else than {DATATYPES[spec.dtype]} values")
    try:
        with np.errstate(over="ignore"):
            array = np.array(values, dtype=spec.dtype)
    except OverflowError as error:
        raise Refusal(400, f"input {spec.name!r}: a value does not fit into {DATATYPES[spec.dtype]}") from error
    if kind == "f" and not np.isfinite(array).all():
        raise Refusal(400, f"input {spec.name!r}: a value does not fit into {DATATYPES[spec.dtype]}")
    return array
