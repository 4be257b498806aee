"""Outputs of an ONNX file have the keys of the model's outputs, also if they are inputs or the same tensor twice."""

from __future__ import annotations

import onnx_ir
from odd_outputs import Pair
from odd_structures import fc, net, rows

import fxpasses as fx
from fxpasses.export.onnx_writer.output_names import name_outputs
from fxpasses.signature.outputs import output_tensors


def test_names_are_the_keys() -> None:
    """No exporter is needed: the values of a file correspond to those of the graph, in order."""
    build = net(lambda self, x: {"in": x, "y": self.a(x), "again": [self.a(x)], "x": Pair(self.a(x), x)}, a=fc)
    outputs = output_tensors(fx.capture(build().eval(), rows(2)))
    x, y, z = (onnx_ir.Value(name=name) for name in ("x", "linear", "in"))
    nodes = [onnx_ir.Node("", "Relu", [x], outputs=[y]), onnx_ir.Node("", "Relu", [y], outputs=[z])]
    graph = onnx_ir.Graph([x], [x, y, y, z, x], nodes=nodes)
    name_outputs(onnx_ir.Model(graph, ir_version=10), outputs)
    assert [value.name for value in graph.outputs] == ["in", "y", "again.0", "x.low", "x.high"]
    assert [value.name for value in graph.inputs] == ["x"]
    assert [node.op_type for node in graph] == ["Relu", "Relu", "Identity", "Identity", "Identity"]


def test_without_keys_names_stay() -> None:
    outputs = output_tensors(fx.capture(net(lambda self, x: (self.a(x), x), a=fc)().eval(), rows(2)))
    x, y = onnx_ir.Value(name="x"), onnx_ir.Value(name="linear")
    graph = onnx_ir.Graph([x], [y, x], nodes=[onnx_ir.Node("", "Relu", [x], outputs=[y])])
    name_outputs(onnx_ir.Model(graph, ir_version=10), outputs)
    assert [value.name for value in graph.outputs] == ["linear", "x"]
