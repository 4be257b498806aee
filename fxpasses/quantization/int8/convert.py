"""OBSERVED -> QUANTIZED: measured ranges become scales, weights become integers, quantize and dequantize appear.

Every tensor on an int8 grid is followed by ``quantize`` and ``dequantize``; layers read ``dequantize_per_channel`` of
int8 weights and int32 biases held as buffers under the layer's own path. The result is an ordinary GraphModule that
runs in plain PyTorch, and every artifact is made from it. Lossy: the values are rounded here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from ...errors import GraphError, InputError
from ...graph.edit import add_module, clip_bounds, module_of
from ...graph.meta_keys import DTYPE, LAYER, SHAPE
from ...graph.operators import Operator, Trait
from ...graph.ownership import drop_unread_tensors
from ...graph.pass_runner import PassLog, PassResult, copy_graph, pass_logs
from ...graph.shapes import carried_meta
from ...graph.stages import Stage, check_stage, config_of, graph_facts, set_stage
from ..config import QuantConfig
from ..numbers import ops
from ..numbers.qparams import QParams
from ..repair_table import Phase, settings_off
from ..selection.tie_order import order_ties
from .bias_correction import take_out_means
from .exactness import require_exact
from .mixed_tensors import take_out_parts
from .names import float_name, holder_path, int8_name
from .plan import Plan
from .planned_scales import plan_with_scales, take_out_observers
from .scales import Scales, settle_scales
from .weights import IntegerWeights, integer_weights


def convert(gm: fx.GraphModule, config: QuantConfig | None = None) -> fx.GraphModule:
    """Turn a calibrated graph into the int8 reference graph (``convert_fx`` in ``torch.ao``).

    Args:
        gm: an OBSERVED graph. It is not changed, and can be calibrated further.
        config: settings other than those of :func:`observe`; the observers do not change. If these settings leave more
            nodes in float, the graph needs ``observe(..., every_tensor=True)``.

    Raises:
        GraphError: the graph is not OBSERVED, no data has passed one of its observers, or ``config.exact`` is set and
            bit-equality of all engines cannot be shown for some node.
    """
    check_stage(gm, Stage.OBSERVED, "convert")
    config = config or config_of(gm)
    # the graph records what was done: rounding to nearest, whatever the settings asked for
    return converted(gm, replace(config, **settings_off(Phase.CONVERSION)))


def converted(gm: fx.GraphModule, config: QuantConfig) -> fx.GraphModule:
    """Convert as :func:`convert` does; ``rounding="learned"`` selects the integer range that learned rounding needs."""
    gm = copy_graph(gm)
    graph_facts(gm).config = config
    measured = take_out_observers(gm, config)
    means, powers = take_out_means(gm), take_out_parts(gm)
    plan, scales = plan_with_scales(gm, config, measured, powers)
    if config.avoids_ties:
        scales = settle_scales(gm, plan, scales)
    pass_logs(gm).append(PassLog("convert", _Conversion(gm, plan, scales, config, means).run()))
    gm.graph.eliminate_dead_code()
    gm.delete_all_unused_submodules()
    drop_unread_tensors(gm)
    gm.graph.lint()
    gm.recompile()
    set_stage(gm, Stage.QUANTIZED)
    if config.exact:
        require_exact(gm, pair_safe=config.for_target.pair_safe)
    return gm


def clamp_is_redundant(bounds: tuple[float, float], q: QParams) -> bool:
    """Whether rounding to the grid of ``q`` already has the same effect as a clamp to ``bounds``, for every value."""
    low_end, high_end = q.range
    return bounds[0] <= low_end + q.scale / 2 and low_end >= bounds[0] and bounds[1] >= high_end - q.scale / 2


class _Conversion:
    def __init__(
        self, gm: fx.GraphModule, plan: Plan, scales: Scales, config: QuantConfig, means: dict[str, Tensor]
    ) -> None:
        self.gm, self.plan, self.scales, self.config = gm, plan, scales, config
        self.means = means if config.bias_correction else {}
        self.result = PassResult()
        self.calls: dict[str, int] = {}
        self.first: dict[nn.Module, IntegerWeights] = {}
        """Integers of each layer at its first call."""
        self.names: dict[fx.Node, str] = {}
        """Name in the user's graph for each tensor that a new node computes now."""

    def run(self) -> PassResult:
        self._say_what_stays_float()
        for activation, producer in list(self.plan.absorbed.items()):
            self._absorb(activation, producer)
        for node, operator in list(self.plan.int8.items()):
            gives = ", its result in float" if node in self.plan.float_results else ""
            self.result.change(node, f"{operator} in int8{gives}")
            if operator.weight_axis is not None:
                self._convert_layer(node, operator)
            elif Trait.LOOKS_UP in operator.traits:
                self._convert_embedding(node)
        for tensor, root in list(self.plan.root.items()):
            self._put_on_grid(tensor, self.scales[root])
        for node in order_ties(self.gm):
            self.result.change(node, "takes equal values in the order of their indices, as ONNX does")
        return self.result

    def _say_what_stays_float(self) -> None:
        """Record the reason for nodes that :func:`observe` did not log as float: the settings may be others now."""
        known = {skip.node for log in pass_logs(self.gm) for skip in log.result.skipped}
        for node, why in self.plan.why_float.items():
            if node.name not in known:
                self.result.stay_float(node, why)

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

    def _output_qparams(self, node: fx.Node) -> QParams | None:
        if node in self.plan.float_results:
            return None
        held = node if node in self.plan.root else next(iter(node.users))
        return self.scales[self.plan.root[held]]

    def _convert_layer(self, node: fx.Node, operator: Operator) -> None:
        layer = module_of(self.gm, node, nn.Module)
        assert operator.weight_axis is not None
        x, y = self._input_qparams(node), self._output_qparams(node)
        try:
            means, bits = self.means.get(node.name), self.config.weight_bits_of(self.gm, node)
            first = self.first.get(layer)
            integers = integer_weights(layer, operator.weight_axis, x, y, self.config, means, bits, first)
            self.first.setdefault(layer, integers)
        except InputError as error:
            raise GraphError.at_node(node, why=f"{error.what}: {error.why}", fix=error.fix, step="convert") from error
        with self.gm.graph.inserting_before(node):
            weight, bias = self._weight_nodes(node, integers)
            arguments = (node.args[0], weight, bias)
            new = self.gm.graph.call_function(_function_of(operator), arguments, _settings_of(layer))
        self._replace(node, new)

    def _weight_nodes(self, node: fx.Node, integers: IntegerWeights) -> tuple[fx.Node, fx.Node | None]:
        """Add the buffers and the nodes that dequantize them; each further call of a layer gets its own integers."""
        path = str(node.target)
        call = self.calls[path] = self.calls.get(path, 0) + 1
        holder = nn.Module().eval()
        place = add_module(self.gm, holder_path(path, call), holder)

        def dequantized(name: str, value: Tensor, scale: Tensor, axis: int) -> fx.Node:
            read = [self._buffer(node, holder, place, n, t) for n, t in ((name, value), (f"{name}_scale", scale))]
            new = self._dequantize(node, ops.dequantize_per_channel, value, (*read, axis))
            new.meta[LAYER] = node.name
            return new

        weight = dequantized("weight", integers.weight, integers.weight_scale, integers.axis)
        if integers.bias is None or integers.bias_scale is None:
            return weight, None
        return weight, dequantized("bias", integers.bias, integers.bias_scale, 0)

    def _buffer(self, node: fx.Node, holder: nn.Module, place: str, name: str, value: Tensor) -> fx.Node:
        holder.register_buffer(name, value)
        read = self.gm.graph.get_attr(f"{place}.{name}")
        read.meta = _about(node, value, value.dtype)
        return read

    def _dequantize(self, node: fx.Node, function: Any, value: Tensor, arguments: tuple[Any, ...]) -> fx.Node:
        new = self.gm.graph.call_function(function, arguments)
        new.meta = _about(node, value, torch.float32)
        return new

    def _convert_embedding(self, node: fx.Node) -> None:
        q = self.scales[self.plan.root[node]]
        table = module_of(self.gm, node, nn.Embedding).weight.detach()
        place = add_module(self.gm, holder_path(str(node.target)), holder := nn.Module().eval())
        with self.gm.graph.inserting_before(node):
            integers = ops.quantize(table, q.scale, q.zero_point, q.grid.dtype)
            read = self._buffer(node, holder, place, "weight", integers)
            weight = self._dequantize(node, ops.dequantize, integers, (read, q.scale, q.zero_point))
            new = self.gm.graph.call_function(F.embedding, (node.args[0], weight))
        self._replace(node, new)

    def _integer_constant(self, tensor: fx.Node, q: QParams) -> fx.Node:
        """Quantize a constant now, and hold it as integers."""
        path, _, name = str(tensor.target).rpartition(".")
        value: Tensor = getattr(self.gm.get_submodule(path), name).detach()
        place = add_module(self.gm, holder_path(str(tensor.target)), holder := nn.Module().eval())
        return self._buffer(tensor, holder, place, "value", ops.quantize(value, q.scale, q.zero_point, q.grid.dtype))

    def _replace(self, node: fx.Node, new: fx.Node) -> None:
        new.meta = carried_meta(node)
        self.names[new] = self.names.get(node, node.name)
        node.replace_all_uses_with(new)
        if node in self.plan.root:  # otherwise the output of an activation that was kept has the grid
            self.plan.root[new] = self.plan.root.pop(node)
        self.gm.graph.erase_node(node)

    def _put_on_grid(self, tensor: fx.Node, q: QParams) -> None:
        """Append ``quantize`` and ``dequantize`` to ``tensor``; all its readers read the dequantized value instead."""
        graph = self.gm.graph
        name = self.names.get(tensor, tensor.name)
        with graph.inserting_after(tensor):
            if tensor.op == "get_attr":
                quantized = self._integer_constant(tensor, q)
            else:
                arguments = (tensor, q.scale, q.zero_point, q.grid.dtype)
                quantized = graph.create_node("call_function", ops.quantize, arguments, name=int8_name(name))
        with graph.inserting_after(quantized):
            back = graph.create_node(
                "call_function", ops.dequantize, (quantized, q.scale, q.zero_point), name=float_name(name)
            )
        quantized.meta = carried_meta(tensor) | {DTYPE: q.grid.dtype}
        back.meta = carried_meta(tensor)
        tensor.replace_all_uses_with(back, delete_user_cb=lambda user: user is not quantized)


def _about(node: fx.Node, value: Tensor, dtype: torch.dtype) -> dict[str, Any]:
    """Metadata of a node that reads a layer's integers: shape, dtype, and the source line of the layer."""
    return carried_meta(node) | {SHAPE: tuple(value.shape), DTYPE: dtype}


def _function_of(operator: Operator) -> Any:
    return getattr(F, operator.name)


def _settings_of(layer: nn.Module) -> dict[str, Any]:
    names = ("stride", "padding", "output_padding", "dilation", "groups")
    transposed = isinstance(layer, (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d))
    settings = {n: getattr(layer, n) for n in names if hasattr(layer, n) and (transposed or n != "output_padding")}
    return settings | ({"padding": 0} if settings.get("padding") == "valid" else {})
