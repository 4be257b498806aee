"""Rows of a QUANTIZED graph: its integers, and every scale and zero point that belongs to them.

Quantizing and dequantizing are free, as are conversions between formats that float32 holds exactly; so is requantizing
a sum to the scale of its output. A saturation that replaces a ReLU (an output grid that begins at zero) counts as the
ReLU. Float operators between integers are counted as in a FLOAT graph.
"""

from __future__ import annotations

import math

from torch import fx

from ..graph.meta_keys import SHAPE
from ..graph.operators import Trait
from ..graph.stages import graph_facts
from ..quantization.config import QuantConfig
from ..quantization.int8.int8_calls import FloatResult, Int8Call, LayerIntegers, find_float_results, find_int8_calls
from ..quantization.numbers import ops
from ..quantization.numbers.qparams import IntType, QParams
from ..quantization.numbers.weight_groups import common_multiples, group_length
from .float_rows import FloatRows
from .rows import Row, Widths
from .storage import FLOAT_BITS, Stored, Weight, dtype_bits, plain, weight_of
from .work import PER_VALUE, Work, dot_products, pooled

_ZERO_POINT_BITS = 8
_MULTIPLE_BITS = 4


def int8_rows(gm: fx.GraphModule, widths: Widths) -> tuple[list[Row], list[str]]:
    """Rows of a QUANTIZED graph in order, and the operators without a rule."""
    maker = _Int8Rows(gm, widths)
    rows = [row for node in gm.graph.nodes if (row := maker.row(node)) is not None]
    return rows, maker.floats.uncounted


class _Int8Rows:
    def __init__(self, gm: fx.GraphModule, widths: Widths) -> None:
        self.gm, self.widths = gm, widths
        self.floats = FloatRows(gm, widths)
        calls = find_int8_calls(gm).values()
        self.calls = {call.node: call for call in calls}
        self.results = find_float_results(gm)
        self.held = _read_by_layers(gm)
        config = graph_facts(gm).config
        self.config = config if isinstance(config, QuantConfig) else None

    def row(self, node: fx.Node) -> Row | None:
        if node in self.calls:
            return self._call(self.calls[node])
        if node in self.results:
            return self._float_result(self.results[node])
        if node.target in ops.QUANTIZING or node in self.held:
            return self._entrance(node)
        return self.floats.row(node)

    def _entrance(self, node: fx.Node) -> Row | None:
        """Row of a float tensor that is quantized: a scale and a zero point, and no work."""
        source = node.args[0] if node.target is ops.quantize else None
        if not isinstance(source, fx.Node) or source in self.calls:
            return None
        return Row(node.name, "quantize", _grid_stored(1), ())

    def _call(self, call: Int8Call) -> Row:
        outputs, bits = (
            self.floats.values(call.output),
            max(self._width(n, q) for n, q in zip(call.inputs, call.x, strict=True)),
        )
        stored = () if call.shares_scale else _grid_stored(1)
        saturates = Trait.ABSORBS in call.operator.traits and call.y.zero_point == call.y.grid.low
        clamps = 2 if call.clamp is not None and not math.isinf(call.clamp[1]) else 1 if saturates or call.clamp else 0
        clamp = (Work(clamps * outputs, dtype_bits(call.y.grid.dtype), 0),) if clamps else ()
        if call.layer is not None:
            weight = self._weight(call.layer)
            positions = outputs // _channels(call.layer)
            work = dot_products(weight, positions, bits, is_float=False, bias=call.layer.bias is not None)
            return Row(
                call.name, call.operator.name, (*self._layer_stored(call.layer, weight), *stored), (work, *clamp)
            )
        return Row(call.name, call.operator.name, stored, (*self._work(call, outputs, bits), *clamp))

    def _float_result(self, result: FloatResult) -> Row:
        weight, bits = self._weight(result.layer), self._width(result.input, result.x)
        outputs = self.floats.values(result.node)
        positions = outputs // _channels(result.layer)
        work = dot_products(weight, positions, bits, is_float=False, bias=result.layer.bias is not None)
        return Row(result.name, result.operator.name, self._layer_stored(result.layer, weight), (work,))

    def _work(self, call: Int8Call, outputs: int, bits: int) -> tuple[Work, ...]:
        operator, name = call.operator, call.operator.name
        if Trait.CONTRACTS in operator.traits:
            length = (call.node.args[0].meta[SHAPE])[-1] if isinstance(call.node.args[0], fx.Node) else 1
            exact = min(FLOAT_BITS, 2 * bits + int(length - 1).bit_length())
            return (Work(outputs * length, bits, outputs * (length - 1), exact, outputs * length),)
        if name in PER_VALUE:
            multiplies, adds = PER_VALUE[name]
            same = len({q.scale for q in call.x}) == 1
            return (Work(multiplies * outputs, bits, adds * outputs, bits + 1 if same else FLOAT_BITS),)
        if (takes_maxima := Trait.MAXIMA in operator.traits) or Trait.AVERAGES in operator.traits:
            window = self.floats.pool(call.node, operator, outputs, bits)
            size = window.multiplies // outputs + 1 if takes_maxima else window.adds // outputs + 1
            return (pooled(outputs, size, bits, average=not takes_maxima, is_float=False),)
        work = self.floats.function(call.node, name)
        return () if work is None else (work,)

    def _width(self, node: fx.Node, q: QParams) -> int:
        """Bits of an integer tensor; 1 if it holds signs."""
        source = node.args[0] if node.target is ops.quantize else None
        return 1 if isinstance(source, fx.Node) and self._is_sign(source) else dtype_bits(q.grid.dtype)

    def _is_sign(self, node: fx.Node) -> bool:
        call = self.calls.get(node)
        if call is not None and call.shares_scale:
            source = call.inputs[0].args[0]
            return isinstance(source, fx.Node) and self._is_sign(source)
        return self.floats.width(node) == 1

    def _weight(self, layer: LayerIntegers) -> Weight:
        value = layer.weight if layer.axis == 0 else layer.weight.transpose(0, layer.axis)
        return weight_of(value, None, self.widths.block)

    def _layer_stored(self, layer: LayerIntegers, weight: Weight) -> tuple[Stored, ...]:
        beside = (*plain("scale", layer.weight_scale), *plain("bias", layer.bias))
        grouped = self._in_groups(layer)
        return (*(grouped or weight.stored), *beside)

    def _in_groups(self, layer: LayerIntegers) -> tuple[Stored, ...] | None:
        """Storage of a weight with few bits and a multiple for each group, if the graph was made so."""
        if self.config is None or self.config.group_size is None or layer.axis != 0:
            return None
        bits, flat = self.config.weight_bits, layer.weight.flatten(1)
        length = group_length(flat.shape[1], self.config.group_size)
        found = common_multiples(flat, IntType(flat.dtype, -(1 << (bits - 1)), (1 << (bits - 1)) - 1), length)
        if found is None:
            return None
        q, multiples = found
        return Stored("weight", q.numel(), q.numel(), bits), Stored(
            "multiples", multiples.numel(), multiples.numel(), _MULTIPLE_BITS
        )


def _channels(layer: LayerIntegers) -> int:
    return int(layer.weight_scale.numel())


def _grid_stored(count: int) -> tuple[Stored, ...]:
    return Stored("scale", count, count, FLOAT_BITS), Stored("zero_point", count, count, _ZERO_POINT_BITS)


def _read_by_layers(gm: fx.GraphModule) -> set[fx.Node]:
    """Buffers that belong to layers, and are counted with them."""
    found: set[fx.Node] = set()
    for node in gm.graph.nodes:
        if node.target is ops.dequantize_per_channel:
            found.update(n for n in node.all_input_nodes if n.op == "get_attr")
    return found
