"""The steps of a graph: FLOAT, QUANTIZED or LOWERED."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, fx

from fxpasses.graph.edit import operator_of
from fxpasses.graph.meta_keys import DTYPE
from fxpasses.graph.operator_table import VOCABULARY
from fxpasses.graph.operators import Scaling
from fxpasses.graph.pass_runner import pass_logs
from fxpasses.graph.shapes import shape_of
from fxpasses.quantization.int8.int8_calls import (
    FloatResult,
    Int8Call,
    LayerIntegers,
    find_float_results,
    find_int8_calls,
    qparams_of,
)
from fxpasses.quantization.int8.names import layer_path, node_of_layer, tensor_of
from fxpasses.quantization.numbers import ops

from .steps import Step, Weight

_SILENT = ("placeholder", "get_attr", "output")


def steps_of_graph(gm: fx.GraphModule) -> list[Step]:
    """Every operator of a graph, in order."""
    return list(_Reader(gm).steps())


class _Reader:
    def __init__(self, gm: fx.GraphModule) -> None:
        self.gm = gm
        self.calls = find_int8_calls(gm)
        self.results = find_float_results(gm)
        self.folded = _folded(gm)
        self.knows_shapes = any(shape_of(node) is not None for node in gm.graph.nodes)
        self.read: dict[fx.Node, str] = {}
        """Name of the step that computes a node's result, by node."""

    def steps(self) -> Iterator[Step]:
        inside = {call.node: call for call in self.calls.values()}
        clamps = {call.output.args[0] for call in self.calls.values()} - inside.keys()
        for node in self.gm.graph.nodes:
            if node.op in _SILENT or node in inside or node in clamps:
                continue
            if node in self.calls:
                yield self._integer(node, self.calls[node])
            elif node in self.results:
                yield self._result(node, self.results[node])
            elif node.target is ops.quantize:
                yield self._entrance(node)
            elif node.target not in ops.QUANTIZING and (not self.knows_shapes or _gives_tensors(node)):
                yield self._float(node)

    def _integer(self, node: fx.Node, call: Int8Call) -> Step:
        path, name = self._path(call), tensor_of(call.name)
        self.read[node] = self.read[call.node] = name
        dtype = str(call.y.grid.dtype).removeprefix("torch.")
        return Step(
            name,
            call.operator.name,
            module=path,
            precision=dtype,
            grid=f"{call.y.scale:.6g} @ {call.y.zero_point}",
            moves=call.operator.scaling is Scaling.SHARED and call.layer is None,
            on_integers=True,
            shape=_one_item(node),
            weight=_integer_weight(call.layer),
            inputs=self._inputs(call.node),
            folded=self.folded.get(node_of_layer(path or ""), ()),
        )

    def _result(self, node: fx.Node, result: FloatResult) -> Step:
        path = self._path(result)
        name = node_of_layer(path or "") or node.name
        self.read[node] = name
        return Step(
            name,
            result.operator.name,
            module=path,
            on_integers=True,
            shape=_one_item(node),
            weight=_integer_weight(result.layer),
            inputs=self._inputs(node),
            folded=self.folded.get(node_of_layer(path or ""), ()),
        )

    def _entrance(self, node: fx.Node) -> Step:
        """The step that turns floats into integers."""
        q, name = qparams_of(node), node.name
        self.read[node] = name
        dtype = str(q.grid.dtype).removeprefix("torch.")
        inputs = self._inputs(node)
        return Step(name, "quantize", None, dtype, f"{q.scale:.6g} @ {q.zero_point}", True, inputs=inputs)

    def _float(self, node: fx.Node) -> Step:
        operator = operator_of(self.gm, node)
        self.read[node] = node.name
        path, weight = self._layer(node)
        dtype = str(node.meta.get(DTYPE, "float32")).removeprefix("torch.")
        name = operator.name if operator else _name_of(self.gm, node)
        return Step(
            node.name,
            name,
            module=path,
            precision=dtype,
            moves=bool(operator and operator.scaling is Scaling.SHARED),
            shape=_one_item(node),
            weight=weight,
            inputs=self._inputs(node),
            folded=self.folded.get(node.name, ()),
        )

    def _layer(self, node: fx.Node) -> tuple[str | None, Weight | None]:
        """The path and weight of a layer: a module, or a function that reads parameters."""
        if node.op == "call_module":
            module = self.gm.get_submodule(str(node.target))
            found = getattr(module, "weight", None)
            held = found if isinstance(found, Tensor) else next(iter(module.parameters()), None)
            return str(node.target), _weight(held)
        read = [n for n in node.all_input_nodes if n.op == "get_attr"]
        tensors = [(n, value) for n in read if isinstance(value := _attribute(self.gm, str(n.target)), Tensor)]
        if not tensors:
            return None, None
        largest, value = max(tensors, key=lambda found: found[1].numel())
        return layer_path(str(largest.target).rpartition(".")[0]) or None, _weight(value)

    def _inputs(self, node: fx.Node) -> tuple[str, ...]:
        """Names of the steps that a node reads, directly or through ``quantize`` and ``dequantize``."""
        found: list[str] = []
        for source in node.all_input_nodes:
            while source.target in (ops.quantize, ops.dequantize) and source not in self.read:
                source = source.all_input_nodes[0]
            found += [self.read[source]] if source in self.read else []
        return tuple(found)

    def _path(self, call: Int8Call | FloatResult) -> str | None:
        weight = call.node.args[1] if call.layer is not None else None
        if not isinstance(weight, fx.Node):
            return None
        return layer_path(str(weight.all_input_nodes[0].target).rpartition(".")[0])


def _integer_weight(layer: LayerIntegers | None) -> Weight | None:
    return None if layer is None else Weight(layer.weight, str(layer.weight.dtype).removeprefix("torch."))


def _weight(value: Tensor | None) -> Weight | None:
    return None if value is None else Weight(value.detach(), str(value.dtype).removeprefix("torch."))


def _folded(gm: fx.GraphModule) -> Mapping[str, tuple[str, ...]]:
    """Names of the nodes that passes folded into each layer, by the name of the layer's node."""
    found: dict[str, tuple[str, ...]] = {}
    for log in pass_logs(gm):
        for change in log.result.changed:
            if change.folded_into is not None:
                found[change.folded_into] = (*found.get(change.folded_into, ()), change.node)
    return found


def _gives_tensors(node: fx.Node) -> bool:
    return shape_of(node) is not None or DTYPE in node.meta or node.op == "call_module"


def _one_item(node: fx.Node) -> tuple[int, ...] | None:
    shape = shape_of(node)
    return tuple(int(size) for size in shape[1:]) if shape else None


def _attribute(gm: fx.GraphModule, path: str) -> Any:
    holder, _, name = path.rpartition(".")
    return getattr(gm.get_submodule(holder), name, None)


def _name_of(gm: fx.GraphModule, node: fx.Node) -> str:
    """Name of a node's operator: its name in the vocabulary, or else the name that the graph uses."""
    if node.op == "call_module":
        return type(gm.get_submodule(str(node.target))).__name__
    spelled = VOCABULARY.spelling(gm, node)
    if spelled is not None:
        return spelled[0].name
    return str(getattr(node.target, "__name__", node.target)).removesuffix(".default")
