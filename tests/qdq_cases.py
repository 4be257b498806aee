"""Usual and unusual surroundings of one operator, as builders of graphs: for the tests of the audit's rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto
from qdq_models import U8, Graph, conv, image, weights

Build = Callable[[Graph], None]
Operands = Callable[[Graph], list[str]]


def conv_case(
    bias: dict[str, Any] | str | None = None,
    clamp: str = "",
    out: dict[str, Any] | None = None,
    act: Any = U8,
    spatial: int = 2,
    groups: int = 1,
    **weight: Any,
) -> Build:
    """Graph DQ -> Conv [-> Relu or Clip] -> Q."""

    def build(graph: Graph) -> None:
        zero = 128 if act is U8 else 0
        x = graph.qdq(graph.input(1, 4, *[8] * spatial), zero=zero, dtype=act)
        w, scales = graph.weight(weights(4, 4 // groups, *[3] * spatial), **weight)
        inputs = [x, w]
        if isinstance(bias, dict):
            inputs.append(graph.bias(scales, **bias))
        elif bias:
            inputs.append(graph.const(weights(4)) if bias == "float" else graph.input(4, name="bias"))
        y = graph.node("Conv", inputs, group=groups)
        if clamp == "Relu":
            y = graph.node("Relu", [y])
        elif clamp:
            y = graph.node("Clip", [y, graph.const(np.float32(0)), graph.const(np.float32(6))])
        graph.output(graph.qdq(y, **{"dtype": act, "zero": zero, **(out or {})}))

    return build


def gemm_case(
    quantized: bool = True, bias: str | dict[str, Any] | None = None, axis: int | None = 0, **more: Any
) -> Build:
    """Graph DQ -> Gemm [-> Q]."""

    def build(graph: Graph) -> None:
        zero = more.get("input_zero", 128)
        x = graph.qdq(graph.input("N", 16), zero=zero)
        transposed = more.get("transB", 1)
        w, scales = graph.weight(weights(*((10, 16) if transposed else (16, 10))), axis, more.get("weight_zero", True))
        inputs = [x, w]
        if isinstance(bias, dict):
            inputs.append(graph.bias(scales, **bias))
        elif bias:
            inputs.append(graph.const(weights(10)) if bias == "float" else graph.input(10, name="bias"))
        attributes = {name: more[name] for name in ("alpha", "beta") if name in more}
        y = graph.node("Gemm", inputs, transB=transposed, **attributes)
        if more.get("relu"):
            y = graph.node("Relu", [y])
        if more.get("then"):
            y = graph.node(more["then"], [y])
        graph.output(graph.qdq(y, zero=more.get("output_zero", 128)) if quantized else y)

    return build


def matmul_case(
    quantized: bool = True,
    add: str = "",
    shape: tuple[int | str, ...] = (1, 5, 16),
    act: bool = False,
    relu: int | None = None,
) -> Build:
    """Graph DQ -> MatMul [-> Add of a bias] [-> Q]."""

    def build(graph: Graph) -> None:
        x = graph.qdq(graph.input(*shape))
        w, scales = (
            (graph.qdq(graph.input(16, 7, name="y")), weights(7)) if act else graph.weight(weights(16, 7), axis=1)
        )
        y = graph.node("MatMul", [x, w])
        if add == "float":
            y = graph.node("Add", [y, graph.const(weights(7))])
        elif add == "int32":
            y = graph.node("Add", [graph.bias(scales), y])
        elif add == "uint8":
            y = graph.node("Add", [y, graph.dq(graph.const(np.arange(7).astype(U8)))])
        elif add == "activation":
            y = graph.node("Add", [y, graph.qdq(graph.input(1, 5, 7, name="z"))])
        if relu is not None:
            y = graph.node("Relu", [y])
        graph.output(graph.qdq(y, zero=128 if relu is None else relu) if quantized else y)

    return build


def nothing(_: Graph) -> list[str]:
    return []


def one(op: str, more: Operands = nothing, out: dict[str, Any] | None = None, **attributes: Any) -> Build:
    """Graph DQ -> op -> Q."""

    def build(graph: Graph) -> None:
        y = graph.node(op, [image(graph), *more(graph)], **attributes)
        graph.output(graph.qdq(y, **(out or {})))

    return build


def two(op: str, second: Callable[[Graph], str], **attributes: Any) -> Build:
    """Graph DQ, second -> op -> Q."""

    def build(graph: Graph) -> None:
        graph.output(graph.qdq(graph.node(op, [image(graph), second(graph)], **attributes), 0.1))

    return build


def between_convs(op: str, more: Operands = nothing, channels: int = 4, **attributes: Any) -> Build:
    """Graph Q -> DQ -> op -> Conv: no Q/DQ after op."""

    def build(graph: Graph) -> None:
        x = graph.qdq(conv(graph, image(graph)))
        y = graph.node(op, [x, *more(graph)], **attributes)
        graph.output(graph.qdq(conv(graph, y, channels, name="Conv_end")))

    return build


def behind_conv(op: str, more: Operands = nothing, **attributes: Any) -> Build:
    """Graph Conv -> op -> Q: no Q/DQ before op."""

    def build(graph: Graph) -> None:
        graph.output(graph.qdq(graph.node(op, [conv(graph, image(graph)), *more(graph)], **attributes)))

    return build


def another(graph: Graph) -> str:
    return image(graph, "y", scale=0.03, zero=100)


def float_input(graph: Graph) -> str:
    return graph.input(1, 4, 8, 8, name="y")


def halves(graph: Graph) -> list[str]:
    return [graph.ints(2, 2)]


def split(second: dict[str, Any] | None, raw: bool = False) -> Build:
    def build(graph: Graph) -> None:
        a, b = graph.node("Split", [image(graph), *halves(graph)], 2, axis=1)
        graph.output(graph.qdq(a))
        if second is not None:
            graph.output(graph.qdq(b, **second))
        elif raw:
            graph.output(b)

    return build


def where(second: Callable[[Graph], str]) -> Build:
    def build(graph: Graph) -> None:
        condition = graph.node("Greater", [graph.input(1, 4, 8, 8, name="c"), graph.const(np.float32(0))])
        graph.output(graph.qdq(graph.node("Where", [condition, image(graph), second(graph)]), 0.1))

    return build


def embedding(dtype: Any, zero: int) -> Build:
    def build(graph: Graph) -> None:
        table = graph.dq(graph.const(np.arange(160).reshape(20, 8).astype(dtype)), zero=zero, dtype=dtype)
        rows = graph.node("Gather", [table, graph.input(1, 6, name="ids", dtype=TensorProto.INT64)])
        graph.output(graph.qdq(rows, zero=zero, dtype=dtype))

    return build


def argmax(zero: int | None) -> Build:
    def build(graph: Graph) -> None:
        graph.output(graph.node("ArgMax", [image(graph, zero=zero)], axis=1), dtype=TensorProto.INT64)

    return build


def read_by(*others: str) -> Build:
    """Graph of a Conv read by a QuantizeLinear and by others."""

    def build(graph: Graph) -> None:
        y = conv(graph, image(graph))
        graph.output(graph.qdq(y))
        for other in others:
            graph.output(y if other == "output" else graph.qdq(y, 0.03) if other == "Q" else graph.node(other, [y]))

    return build


def no_zero(op: str, **attributes: Any) -> Build:
    """Graph DQ -> op -> Q without zero points."""

    def build(graph: Graph) -> None:
        graph.output(graph.qdq(graph.node(op, [image(graph, zero=None)], **attributes), zero=None))

    return build


def wide(graph: Graph) -> None:
    graph.opset = 21
    x = image(graph, zero=0, dtype=np.int16)
    graph.output(graph.qdq(graph.node("Sigmoid", [x]), zero=0, dtype=np.int16))


def reshape(graph: Graph) -> list[str]:
    return [graph.ints(1, -1)]


def doubled(graph: Graph) -> list[str]:
    return ["", graph.const(np.array([1, 1, 2, 2], np.float32))]


def max_pool(**out: Any) -> Build:
    return one("MaxPool", out=out, kernel_shape=[2, 2])
