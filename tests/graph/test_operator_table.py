"""Each entry of the table agrees with the functions, modules and ATen schemas it names."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import nn

from fxpasses.graph.operator_table import VOCABULARY
from fxpasses.graph.operators import Operator, Scaling, Spelling

SPELLINGS = [(op, s) for op in VOCABULARY.by_name.values() for s in op.spellings]
LESS_EXACT = frozenset({"cudnn_enabled", "cudnn_enable", "inplace", "scale_factors"})
"""Parameters a spelling lists that some overloads lack, and those named otherwise without harm."""

SAME = {
    "self": "input", "tensors": "input", "exponent": "other", "mat2": "other", "tensor": "input", "indices": "input",
    "train": "training", "normalized_shape": "normalized_shape", "sizes": "size",
}  # fmt: skip
BY_OVERLOAD = {"half_to_float", "split_size", "split_sizes", "size", "shape", "dims", "dim"}


def of_kind(kind: str) -> list[Any]:
    found = []
    for op, spelling in SPELLINGS:
        name = spelling.target if isinstance(spelling.target, str) else ""
        this = "aten" if name.startswith("aten.") else "method" if name.startswith("Tensor.") else "module"
        if name and this == kind:
            found.append(pytest.param(op, spelling, id=name))
        if not name and isinstance(spelling.target, type) == (kind == "class") and kind in ("class", "function"):
            found.append(pytest.param(op, spelling, id=f"{op}-{getattr(spelling.target, '__name__', '')}"))
    return found


@pytest.mark.parametrize(("op", "spelling"), of_kind("aten"))
def test_aten_parameters_are_in_the_order_of_the_schema(op: Operator, spelling: Spelling) -> None:
    packet = getattr(torch.ops.aten, str(spelling.target).removeprefix("aten."))
    matches = 0
    for overload in packet.overloads():
        arguments = getattr(packet, overload)._schema.arguments
        if any(a.is_out for a in arguments):
            continue
        positional = [SAME.get(a.name, a.name) for a in arguments if not a.kwarg_only]
        given = [SAME.get(n, n) for n in spelling.parameters]
        same = all(a == b or {a, b} & BY_OVERLOAD for a, b in zip(positional, given, strict=False))
        matches += same and len(positional) <= len(given)
    assert matches, f"{spelling.target}{spelling.parameters} is no overload of {packet}"


@pytest.mark.parametrize(("op", "spelling"), of_kind("method"))
def test_methods_exist(op: Operator, spelling: Spelling) -> None:
    assert callable(getattr(torch.Tensor, str(spelling.target).removeprefix("Tensor.")))


@pytest.mark.parametrize(("op", "spelling"), of_kind("class"))
def test_module_classes_are_modules(op: Operator, spelling: Spelling) -> None:
    assert issubclass(spelling.target, nn.Module)
    signature = inspect.signature(spelling.target).parameters
    fixed_by_class = {"mode", "align_corners", "scale_factor", "recompute_scale_factor", "value"}
    assert set(spelling.parameters) <= signature.keys() | fixed_by_class


@pytest.mark.parametrize(("op", "spelling"), of_kind("function"))
def test_python_functions_have_these_parameters_in_this_order(op: Operator, spelling: Spelling) -> None:
    if not inspect.isfunction(spelling.target) or "args" in inspect.signature(spelling.target).parameters:
        return
    names = [SAME.get(n, n) for n in inspect.signature(spelling.target).parameters]
    assert tuple(names[: len(spelling.parameters)]) == spelling.parameters or set(names) <= set(spelling.parameters)


@pytest.mark.parametrize("op", VOCABULARY.by_name.values(), ids=str)
def test_entry_is_whole(op: Operator) -> None:
    assert (op.function is None) == bool(op.layers) or op.name == "identity"
    assert op.scaling is not Scaling.FLOAT or op.why_float, "a float operator says why"
    assert (op.fixed_range is not None) == (op.scaling is Scaling.FIXED)
    assert op.onnx or op.name == "identity"
    assert set(op.required) <= set(op.settings)
    if op.function is not None:
        known = set(op.settings) | set(op.positional) | set(op.tensor_names) | {"input"}
        assert all(set(s.fixed) <= known for s in op.spellings if s.convert is None)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("relu", {}), ("clip", {"min": 0.0, "max": 6.0}), ("hardswish", {}), ("hardsigmoid", {}), ("sigmoid", {}),
        ("silu", {}), ("gelu", {"approximate": "tanh"}), ("mish", {}), ("elu", {"alpha": 0.5}),
        ("leaky_relu", {"negative_slope": 0.2}), ("tanh", {}), ("softmax", {"dim": 1}),
        ("max_pool2d", {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 1, "ceil_mode": True}),
        ("avg_pool2d", {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False,
                        "divisor_override": 4}),
        ("adaptive_avg_pool2d", {"output_size": (2, 1)}), ("mean", {"dim": (2, 3), "keepdim": True}),
        ("flatten", {"start_dim": 1, "end_dim": 2}), ("reshape", {"shape": (2, -1)}),
        ("permute", {"dims": (0, 2, 1, 3)}), ("transpose", {"dim0": 1, "dim1": 2}), ("squeeze", {"dim": 1}),
        ("unsqueeze", {"dim": 1}), ("chunk", {"chunks": 2, "dim": 1}),
        ("split", {"split_size_or_sections": [1, 7], "dim": 1}), ("unbind", {"dim": 1}),
        ("pixel_shuffle", {"upscale_factor": 2}), ("channel_shuffle", {"groups": 4}),
        ("expand", {"size": (2, 8, 6, 4)}),
        ("roll", {"shifts": (1,), "dims": (2,)}), ("pad", {"pad": (1, 0), "mode": "constant", "value": 0.5}),
        ("interpolate", {"size": (3, 5), "mode": "bilinear", "align_corners": False, "antialias": True}),
    ],
)  # fmt: skip
def test_canonical_calls_can_be_made_with_their_settings(name: str, settings: dict[str, Any]) -> None:
    op = VOCABULARY[name]
    assert op.function is not None
    op.function(torch.randn(2, 8, 6, 4), **settings)
    assert set(settings) <= set(op.settings)
