"""Each rewrite of an operator gives the very numbers of opset 18, in every older opset, or is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from older_models import OLDER, Array, older, one_node, operators, results

from fxpasses.errors import GraphError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 3, 4, 5)).astype(np.float32)
FLOAT = onnx.TensorProto.FLOAT
INTS = RNG.integers(0, 255, (2, 3, 4, 5)).astype(np.uint8)


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


def node(op_type: str, *inputs: Array | None, constants: int = 0, outputs: int = 1, **settings: Any) -> Any:
    return op_type, list(inputs), {"constants": constants, "outputs": outputs, **settings}


KEPT = [
    *(node(f"Reduce{name}", np.abs(X) + 1, ints(2, 3), constants=1) for name in ("L1", "L2", "LogSum", "LogSumExp")),
    *(node(f"Reduce{name}", X, ints(-1), constants=1, keepdims=0) for name in ("Max", "Mean", "Min", "Prod")),
    node("ReduceSumSquare", X, ints(1), constants=1),
    node("ReduceMean", X),
    node("ReduceMax", INTS, ints(1), constants=1),
    node("ReduceMean", X, ints(), constants=1, keepdims=0),
    node("Pad", X, ints(0, 1, 2, 0), np.array(1.5, np.float32), ints(2, -1), constants=3),
    node("Pad", INTS, ints(0, 0, 0, 1, 0, 0, 2, 0), np.array(7, np.uint8), constants=2),
    node("Pad", X, ints(1, 2), None, ints(3), constants=3, mode="reflect"),
    node("Reshape", X, ints(2, -1), constants=1, allowzero=1),
    node("Reshape", X, ints(0, -1), constants=1),
    node("Reshape", X, ints(6, 20), allowzero=1),
    node("Resize", X, None, np.array([1, 1, 2, 1.5], np.float32), constants=2, mode="nearest"),
    node("Resize", X, None, None, ints(2, 3, 7, 9), constants=3, mode="linear", keep_aspect_ratio_policy="stretch"),
    node("Resize", X, None, None, ints(2, 3, 7, 9), constants=3, mode="cubic", antialias=0),
    node("ScatterElements", X, np.zeros((2, 1, 4, 5), np.int64), X[:, :1], axis=1),
    node("ScatterND", X, np.ones((1, 1), np.int64), X[:1]),
    node("Shape", X),
    node("Shape", X, start=1),
    node("Shape", X, start=-3, end=-1),
    node("Shape", X, end=2),
    node("Split", X, outputs=3, axis=1, num_outputs=3),
    node("Split", X, outputs=2, axis=-1, num_outputs=2),
    node("Split", X, ints(1, 3), constants=1, outputs=2, axis=2),
]


@pytest.mark.parametrize("case", KEPT, ids=[f"{n}_{op}" for n, (op, _, _) in enumerate(KEPT)])
def test_the_same_numbers_in_every_older_opset(case: tuple[str, list[Array | None], dict[str, Any]]) -> None:
    op_type, inputs, settings = case
    content = one_node(op_type, inputs, **settings)
    expected = results(content, inputs)
    for opset in OLDER:
        rewritten = older(content, opset)
        found = results(rewritten, inputs)
        assert len(found) == len(expected)
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_array_equal(a, b, strict=True)
        assert [o.version for o in onnx.load_from_string(rewritten).opset_import] == [opset]


def test_a_shape_that_is_whole_stays_one_node() -> None:
    assert operators(older(one_node("Shape", [X]), 13)) == ["Shape"]
    assert operators(older(one_node("Shape", [X], start=1), 13)) == ["Shape", "Slice"]
    assert operators(older(one_node("Shape", [X], start=1), 15)) == ["Shape"]


REFUSED = [
    (node("ReduceMax", X, ints(1)), 13, "its axes are computed", 18),
    (node("ReduceMean", X, noop_with_empty_axes=1), 17, "it reduces nothing", 18),
    (node("Pad", X, ints(1, 2), None, ints(3), constants=1), 16, "its axes or sizes are computed", 18),
    (node("Reshape", np.zeros((0, 3), np.float32), ints(3, 0), constants=1, allowzero=1), 13, "without values", 14),
    (
        node("Resize", X, None, None, ints(2, 3, 2, 2), constants=3, mode="linear", antialias=1),
        *(15, "its antialias=1 has no counterpart there", 18),
    ),
    (
        node("Resize", X, None, None, ints(2, 2), constants=3, axes=[2, 3], mode="nearest"),
        *(13, r"its axes=.*has no counterpart there", 18),
    ),
    (node("ScatterND", X, np.ones((1, 1), np.int64), X[:1], reduction="add"), 13, "its reduction=add", 16),
    (node("ScatterND", X, np.ones((1, 1), np.int64), X[:1], reduction="max"), 13, "its reduction=max", 18),
    (node("GridSample", X, np.zeros((2, 3, 3, 2), np.float32)), 13, "opset 13 lacks it", 16),
    (node("BitwiseNot", INTS), 14, "opset 14 lacks it", 18),
]


@pytest.mark.parametrize(
    ("case", "opset", "why", "first"), REFUSED, ids=[c[0][0] + str(n) for n, c in enumerate(REFUSED)]
)
def test_what_an_older_opset_cannot_say(case: Any, opset: int, why: str, first: int) -> None:
    op_type, inputs, settings = case
    content = one_node(op_type, inputs, **settings)
    message = rf"(?s)opset {opset} for node 'the_node'.*it is a {op_type}: .*{why}.*use opset={first} or a later one"
    with pytest.raises(GraphError, match=message):
        older(content, opset)
    if first < 18:
        for a, b in zip(results(content, inputs), results(older(content, first), inputs), strict=True):
            np.testing.assert_array_equal(a, b, strict=True)


def test_a_split_of_unknown_length_is_refused() -> None:
    with pytest.raises(GraphError, match="the length of what it splits is not known"):
        older(one_node("Split", [X], outputs=2, axis=2, num_outputs=2, free=True), 13)
    with pytest.raises(GraphError, match="the number of dimensions of its input is not known"):
        older(_of_unknown_rank(one_node("Pad", [X, ints(1, 2), None, ints(3)], 3, mode="edge")), 13)


def _of_unknown_rank(content: bytes) -> bytes:
    model = onnx.load_from_string(content)
    model.graph.input[0].type.tensor_type.ClearField("shape")
    return bytes(model.SerializeToString())


def test_a_body_of_a_loop_is_rewritten_too() -> None:
    made = onnx.helper.make_tensor_value_info
    nodes = [
        onnx.helper.make_node("Split", ["row"], ["left", "right"], axis=0, num_outputs=2),
        onnx.helper.make_node("Concat", ["right", "left"], ["turned"], axis=0),
        onnx.helper.make_node("Add", ["sum", "row"], ["more"]),
    ]
    state, row, more, turned = (made(name, FLOAT, [4]) for name in ("sum", "row", "more", "turned"))
    body = onnx.helper.make_graph(nodes, "body", [state, row], [more, turned])
    start, rows = np.zeros(4, np.float32), RNG.standard_normal((3, 4)).astype(np.float32)
    scan = onnx.helper.make_node("Scan", ["in0", "in1"], ["last", "all"], body=body, num_scan_inputs=1)
    given = [made("in0", FLOAT, [4]), made("in1", FLOAT, [3, 4])]
    graph = onnx.helper.make_graph([scan], "g", given, [made("last", FLOAT, [4]), made("all", FLOAT, [3, 4])])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)
    rewritten = older(model.SerializeToString(), 13)
    inner = onnx.load_from_string(rewritten).graph.node[0].attribute[0].g.node[0]
    assert (inner.op_type, [a.name for a in inner.attribute]) == ("Split", ["axis"])
    for a, b in zip(results(model.SerializeToString(), [start, rows]), results(rewritten, [start, rows]), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)
