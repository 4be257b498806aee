"""Arguments are found by their canonical names, in every way of passing them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import fx, nn

from fxpasses.graph.binding import bind
from fxpasses.graph.operator_table import VOCABULARY


def bound(op: str, target: Any, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
    """The bound arguments of a call; ``"x"`` stands for the input."""
    graph = fx.Graph()
    x = graph.placeholder("x")
    x.meta["shape"] = (2, 3, 4)
    node = graph.create_node(op, target, tuple(x if a == "x" else a for a in args),
                             {k: x if v == "x" else v for k, v in kwargs.items()})  # fmt: skip
    gm = fx.GraphModule(nn.ModuleDict({"tanh": nn.Hardtanh(-2.0, 3.0), "pad": nn.ZeroPad2d(1)}), graph)
    found = VOCABULARY.spelling(gm, node)
    assert found is not None
    result = bind(gm, node, found[1])
    return {k: "x" if v is x else v for k, v in result.items()} if result is not None else None


@pytest.mark.parametrize(
    ("op", "target", "args", "kwargs", "expected"),
    [
        ("call_function", F.hardtanh, ("x", -2.0), {}, {"input": "x", "min": -2.0, "max": 1.0}),
        ("call_function", F.hardtanh, (), {"input": "x", "max_val": 2.0}, {"input": "x", "min": -1.0, "max": 2.0}),
        ("call_module", "tanh", ("x",), {}, {"input": "x", "min": -2.0, "max": 3.0}),
        ("call_module", "tanh", (), {"input": "x"}, {"input": "x", "min": -2.0, "max": 3.0}),
        ("call_module", "pad", ("x",), {}, {"input": "x", "pad": (1, 1, 1, 1), "value": 0.0}),
        ("call_method", "mean", ("x",), {"axis": 1, "keepdims": True}, {"input": "x", "dim": 1, "keepdim": True}),
        ("call_function", torch.cat, (), {"tensors": ["x"], "dim": 1}, {"input": ["x"], "dim": 1}),
        ("call_method", "view", ("x", 2, -1), {}, {"input": "x", "shape": (2, -1)}),
        ("call_method", "view", ("x", 6), {}, {"input": "x", "shape": (6,)}),
        ("call_method", "view", ("x", [2, -1]), {}, {"input": "x", "shape": [2, -1]}),
        ("call_method", "view", ("x", torch.int32), {}, None),
        ("call_method", "split", ("x", 2), {}, {"input": "x", "split_size_or_sections": 2}),
        ("call_method", "t", ("x",), {}, None),
        ("call_function", torch.relu, ("x", 1, 2, 3), {}, None),
        ("call_function", torch.ops.aten.select.int, ("x", -1, 2), {},
         {"input": "x", "index": (slice(None), slice(None), 2)}),
        ("call_function", torch.ops.aten.slice.Tensor, ("x", 1, 0, 2**63 - 1), {},
         {"input": "x", "index": (slice(None), slice(None))}),
        ("call_function", torch.ops.aten.slice.Tensor, ("x", 0, -2, 2**63 - 1, 2), {},
         {"input": "x", "index": (slice(-2, None, 2),)}),
        ("call_function", torch.narrow, ("x", 1, 1, 2), {}, {"input": "x", "index": (slice(None), slice(1, 3))}),
        ("call_function", torch.narrow, ("x", 1, -1, 1), {}, None),
        ("call_function", torch.ops.aten.upsample_bilinear2d.vec, ("x", None, False, [2.0, 2.0]), {},
         {"input": "x", "mode": "bilinear", "size": None, "align_corners": False, "scale_factor": [2.0, 2.0]}),
        ("call_function", torch.ops.aten.upsample_nearest2d.default, ("x", [4, 4], 2.0), {}, None),
        ("call_function", torch.ops.aten.constant_pad_nd.default, ("x", [1, 0], 0.5), {},
         {"input": "x", "pad": [1, 0], "mode": "constant", "value": 0.5}),
    ],
)  # fmt: skip
def test_bound_arguments(op: str, target: Any, args: Any, kwargs: Any, expected: dict[str, Any] | None) -> None:
    assert bound(op, target, *args, **kwargs) == expected
