"""OBSERVED -> QUANTIZED: measured ranges become scales, weights become integers, quantize and dequantize appear.

Every tensor on an int8 grid is followed by ``quantize`` and ``dequantize``; layers read ``dequantize_per_channel`` of
int8 weights and int32 biases held as buffers under the layer's own path. The result is an ordinary GraphModule that
runs in plain PyTorch, and the one source of every artifact. Lossy: this is where rounding happens.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from ..errors import GraphError
from ..graph_edit import module_of, operator_of
from ..operators import Operator
from ..pass_runner import PassLog, PassResult, copy_graph, pass_logs
from ..passes.identities import clip_bounds
from ..shapes import DTYPE, SHAPE
from ..stages import Stage, check_stage, graph_facts, set_stage
from . import ops
from .config import QuantConfig
from .exactness import require_exact
from .observe import find_observers
from .observers import NothingObserved, Observer
from .plan import Plan, plan_quantization
from .qparams import QParams, affine_qparams, symmetric_qparams
from .scales import Scales, settle_scales
from .weights import IntegerWeights, integer_weights


def convert(gm: fx.GraphModule) -> fx.GraphModule:
    """Turn a calibrated graph into the int8 reference graph; the convert_fx of old.

    Args:
        gm: an OBSERVED graph. It is not changed, and can be calibrated further.

    Raises:
        GraphError: the graph is not OBSERVED, no data has passed one of its observers, or ``config.exact`` is set and
            bit-equality of all engines cannot be shown for some node.
    """
    check_stage(gm, Stage.OBSERVED, "convert")
    config: QuantConfig = graph_facts(gm)["config"]
    gm = copy_graph(gm)
    measured = _take_out_observers(gm, config)
    plan = plan_quantization(gm, config)
    scales: Scales = {r: measured.get(r.name) or _known_qparams(gm, r, config) for r in plan.roots}
    if config.tie_free:
        scales = settle_scales(gm, plan, scales)
    pass_logs(gm).append(PassLog("convert", _Conversion(gm, plan, scales, config).run()))
    gm.graph.eliminate_dead_code()
    gm.delete_all_unused_submodules()
    gm.graph.lint()
    gm.recompile()
    set_stage(gm, Stage.QUANTIZED)
    if config.exact:
        require_exact(gm)
    return gm


def _take_out_observers(gm: fx.GraphModule, config: QuantConfig) -> dict[str, QParams]:
    """Parameters by the name of the observed tensor; the graph is FLOAT again afterwards."""
    target, found = config.for_target, {}
    for name, node in find_observers(gm).items():
        source = node.args[0]
        assert isinstance(source, fx.Node)
        try:
            found[name] = module_of(gm, node, Observer).qparams(  # type: ignore[type-abstract]  # only looked up
                target.activations, target.symmetric_activations
            )
        except NothingObserved as error:
            raise GraphError.at_node(
                source, why="no data has passed its observer", fix="fx.calibrate(graph, batches)", step="convert"
            ) from error
        node.replace_all_uses_with(source)
        gm.graph.erase_node(node)
    gm.delete_all_unused_submodules()
    return found


def _known_qparams(gm: fx.GraphModule, root: fx.Node, config: QuantConfig) -> QParams:
    """Parameters of a root that is not observed: fixed by its operator, or by its table of weights."""
    operator, target = operator_of(gm, root), config.for_target
    assert operator is not None
    if operator.fixed_range is not None:
        low, high = operator.fixed_range
    else:
        table = module_of(gm, root, nn.Embedding).weight.detach()
        low, high = float(table.min()), float(table.max())
    choose = symmetric_qparams if target.symmetric_activations else affine_qparams
    return choose(low, high, target.activations)


def clamp_is_redundant(bounds: tuple[float, float], q: QParams) -> bool:
    """Whether saturating to the grid already does what a clamp to ``bounds`` does, for every value."""
    low_end, high_end = q.range
    return bounds[0] <= low_end + q.scale / 2 and low_end >= bounds[0] and bounds[1] >= high_end - q.scale / 2


class _Conversion:
    def __init__(self, gm: fx.GraphModule, plan: Plan, scales: Scales, config: QuantConfig) -> None:
        self.gm, self.plan, self.scales, self.config = gm, plan, scales, config
        self.result = PassResult()
        self.calls: dict[str, int] = {}
        self.names: dict[fx.Node, str] = {}
        """What the user's graph called a tensor that a new node computes now."""

    def run(self) -> PassResult:
        for activation, producer in list(self.plan.absorbed.items()):
            self._absorb(activation, producer)
        for node, operator in list(self.plan.int8.items()):
            if operator.weight_axis is not None:
                self._convert_layer(node, operator)
            elif operator.name == "embedding":
                self._convert_embedding(node)
        for tensor, root in list(self.plan.root.items()):
            self._put_on_grid(tensor, self.scales[root])
        return self.result

    def _absorb(self, activation: fx.Node, producer: fx.Node) -> None:
        """Drop an activation that the saturation of its output grid makes redundant."""
        root = self.plan.root.pop(activation)
        bounds = clip_bounds(self.gm, activation)
        assert bounds is not None
        if not clamp_is_redundant(bounds, self.scales[root]):
            self.plan.root[activation] = root
            self.result.skip(activation, f"kept beside {producer.name}: its output grid reaches further than the clamp")
            return
        self.plan.root[producer] = root
        self.names[producer] = activation.name
        self.result.change(activation, f"absorbed: {producer.name} saturates at the same values")
        activation.replace_all_uses_with(producer)
        self.gm.graph.erase_node(activation)

    def _input_qparams(self, node: fx.Node) -> QParams:
        source = node.args[0]
        assert isinstance(source, fx.Node)
        return self.scales[self.plan.root[source]]

    def _output_qparams(self, node: fx.Node) -> QParams:
        held = node if node in self.plan.root else next(iter(node.users))
        return self.scales[self.plan.root[held]]

    def _convert_layer(self, node: fx.Node, operator: Operator) -> None:
        layer = module_of(self.gm, node, nn.Module)
        assert operator.weight_axis is not None
        integers = integer_weights(
            layer, operator.weight_axis, self._input_qparams(node), self._output_qparams(node), self.config
        )
        graph = self.gm.graph
        with graph.inserting_before(node):
            weight, bias = self._weight_nodes(str(node.target), integers)
            new = graph.call_function(_function_of(operator), (node.args[0], weight, bias), _settings_of(layer))
        self._replace(node, new)
        self.result.change(new, f"{operator} in int8")

    def _weight_nodes(self, path: str, integers: IntegerWeights) -> tuple[fx.Node, fx.Node | None]:
        """Buffers and the nodes that dequantize them; a layer called again gets integers of its own."""
        call = self.calls[path] = self.calls.get(path, 0) + 1
        holder = nn.Module()
        self.gm.add_submodule(place := f"{path}_int8" + (f"_call{call}" if call > 1 else ""), holder)
        graph = self.gm.graph

        def read(name: str, value: Tensor) -> fx.Node:
            holder.register_buffer(name, value)
            return graph.get_attr(f"{place}.{name}")

        weight = graph.call_function(
            ops.dequantize_per_channel,
            (read("weight", integers.weight), read("weight_scale", integers.weight_scale), integers.axis),
        )
        if integers.bias is None or integers.bias_scale is None:
            return weight, None
        bias = graph.call_function(
            ops.dequantize_per_channel, (read("bias", integers.bias), read("bias_scale", integers.bias_scale), 0)
        )
        return weight, bias

    def _convert_embedding(self, node: fx.Node) -> None:
        q = self.scales[self.plan.root[node]]
        table = module_of(self.gm, node, nn.Embedding).weight.detach()
        holder = nn.Module()
        self.gm.add_submodule(f"{node.target}_int8", holder)
        holder.register_buffer("weight", ops.quantize(table, q.scale, q.zero_point, q.grid.dtype))
        graph = self.gm.graph
        with graph.inserting_before(node):
            weight = graph.call_function(
                ops.dequantize, (graph.get_attr(f"{node.target}_int8.weight"), q.scale, q.zero_point)
            )
            new = graph.call_function(F.embedding, (node.args[0], weight))
        self._replace(node, new)
        self.result.change(new, "table in int8")

    def _replace(self, node: fx.Node, new: fx.Node) -> None:
        new.meta = dict(node.meta)
        self.names[new] = self.names.get(node, node.name)
        node.replace_all_uses_with(new)
        if node in self.plan.root:  # else the grid is behind an activation that was kept
            self.plan.root[new] = self.plan.root.pop(node)
        self.gm.graph.erase_node(node)

    def _put_on_grid(self, tensor: fx.Node, q: QParams) -> None:
        """``tensor -> quantize -> dequantize``, and everybody reads the last."""
        graph = self.gm.graph
        name = self.names.get(tensor, tensor.name)
        with graph.inserting_after(tensor):
            arguments = (tensor, q.scale, q.zero_point, q.grid.dtype)
            quantized = graph.create_node("call_function", ops.quantize, arguments, name=f"{name}_int8")
        with graph.inserting_after(quantized):
            arguments = (quantized, q.scale, q.zero_point)
            back = graph.create_node("call_function", ops.dequantize, arguments, name=f"{name}_float")
        quantized.meta = {k: v for k, v in tensor.meta.items() if k in (SHAPE, "stack_trace")} | {DTYPE: q.grid.dtype}
        back.meta = dict(tensor.meta)
        tensor.replace_all_uses_with(back, delete_user_cb=lambda user: user is not quantized)


def _function_of(operator: Operator) -> Any:
    return getattr(F, operator.name)


def _settings_of(layer: nn.Module) -> dict[str, Any]:
    names = ("stride", "padding", "output_padding", "dilation", "groups")
    transposed = isinstance(layer, nn.modules.conv._ConvTransposeNd)
    return {
        n: getattr(layer, n) for n in names if hasattr(layer, n) and (transposed or n != "output_padding")
    }
