"""Q/DQ pairs around an operator after onnxruntime has moved them: the conditions in the audit's rules.

Before any fusion, onnxruntime moves a DequantizeLinear forward and a QuantizeLinear backward through operators that
only move data, drops Identity and Dropout, and folds a zero Pad into the convolution after it. So "its input is
dequantized" may be true even with another operator in between.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property

from .onnx_graph import INT8, INT16, UINT8, UINT16, Grid, Node, OnnxGraph

PUSHED_THROUGH = frozenset({"MaxPool", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice"})
DROPPED = frozenset({"Identity", "Dropout"})
_CLAMPS = ("Relu", "Clip")
_RANGES = {UINT8: (0, 255), INT8: (-128, 127), UINT16: (0, 65535), INT16: (-32768, 32767)}
_FOLDS_A_PAD = frozenset({"Conv"})
_PARTS_OF_SHAPES = frozenset({"Gather", "Slice", "Squeeze", "Unsqueeze", "Concat", "Cast"})
"""Operators between a Shape and a Reshape that onnxruntime replaces by one constant."""


@dataclass(frozen=True)
class Written:
    """The QuantizeLinear that an operator's output goes to, or the reason why it cannot be fused.

    Attributes:
        quantize: the QuantizeLinear, if there is one.
        reason: why the operator cannot be fused with it; None if it can.
        stays_float: no QuantizeLinear reads the output. Matrix products may still read integers then.
    """

    quantize: Node | None
    reason: str | None
    stays_float: bool = False


class Edges:
    """Q/DQ pairs around the operators of one graph."""

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph

    def dequantized(self, tensor: str) -> Node | None:
        """DequantizeLinear of a tensor, also through operators that onnxruntime moves it through; None without one."""
        maker = self.graph.producer.get(tensor)
        if maker is None or maker.op == "DequantizeLinear":
            return maker
        if maker.op in DROPPED or self.folds_into_reader(maker):
            return self.dequantized(maker.input(0))
        if maker.op in PUSHED_THROUGH:
            source = self.dequantized(maker.input(0))
            return source if source is not None and self.graph.grid(source).per_tensor else None
        return None

    def grid_read(self, tensor: str) -> Grid | None:
        """The integer type, scale and zero point that a tensor is dequantized from."""
        maker = self.dequantized(tensor)
        return None if maker is None else self.graph.grid(maker)

    def why_not_read(self, node: Node, index: int) -> str | None:
        """Reason why input ``index`` of ``node`` does not come from a DequantizeLinear, or None."""
        tensor = node.input(index)
        if self.dequantized(tensor) is not None:
            return None
        if tensor in self.graph.constants:
            return f"input {index} is a float constant: store it as uint8 with a DequantizeLinear"
        if tensor in self.graph.inputs:
            return f"input {index} is the graph's own float input '{tensor}', not a DequantizeLinear"
        maker = self.graph.producer.get(tensor)
        return f"input {index} comes from {maker or 'nowhere'} in float, not from a DequantizeLinear"

    def written(self, node: Node, index: int = 0) -> Written:
        """The QuantizeLinear that output ``index`` of ``node`` goes to, or the reason why there is none."""
        tensor = node.outputs[index]
        readers = self._live_readers(tensor)
        quantizers = [reader for reader in readers if reader.op == "QuantizeLinear"]
        if tensor in self.graph.outputs:
            reason = "its output is also an output of the graph" if readers else "its output leaves the graph in float"
            return Written(None, reason, stays_float=not quantizers)
        if len(readers) > 1:
            named = ", ".join(map(str, readers))
            reason = f"its output is read {len(readers)} times ({named}); one QuantizeLinear alone may read it"
            return Written(None, reason, stays_float=not quantizers)
        if not readers:
            return Written(None, "nothing reads its output", stays_float=True)
        if quantizers:
            return Written(quantizers[0], None)
        return self._beyond(node, readers[0])

    def vanishes(self, clamp: Node) -> str | None:
        """Reason why the saturation of the following QuantizeLinear does not replace a Relu or Clip, or None."""
        written = self.written(clamp)
        if written.quantize is None:
            return written.reason
        grid = self.graph.grid(written.quantize)
        if grid.type not in _RANGES or not grid.per_tensor:
            return f"its QuantizeLinear is not per tensor in 8 or 16 bits ({grid})"
        low, high = _RANGES[grid.type]
        if clamp.op == "Relu":
            return None if grid.zero == low else f"its Relu does not vanish: zero_point is {grid.zero}, not {low}"
        bounds = self._clip_bounds(clamp)
        if bounds is None or grid.scale is None:
            return "its Clip does not vanish: the bounds are not constant"
        scale = float(grid.scale.reshape(-1)[0])
        # A bound within half a step of the grid's end is lost in rounding.
        if bounds[0] <= (low - grid.zero + 0.5) * scale and bounds[1] >= (high - grid.zero - 0.5) * scale:
            return None
        within = f"[{(low - grid.zero) * scale:.6g}, {(high - grid.zero) * scale:.6g}]"
        return f"its Clip{bounds} does not vanish: the integers reach {within}, beyond its bounds"

    def folds_into_reader(self, node: Node) -> bool:
        """Whether a node is a zero Pad that becomes the padding of the convolution after it."""
        if node.op != "Pad" or node.attributes.get("mode", b"constant") not in (b"constant", "constant"):
            return False
        fill = self.graph.value(node.input(2)) if node.input(2) else None
        readers = self.graph.readers(node.outputs[0])
        if (node.input(2) and (fill is None or fill.any())) or node.outputs[0] in self.graph.outputs:
            return False
        return len(readers) == 1 and readers[0].op in _FOLDS_A_PAD and readers[0].input(0) == node.outputs[0]

    def reads_alone(self, node: Node) -> bool:
        """Whether a QuantizeLinear moves ahead of a node: nothing else reads its input, or it is the graph's own.

        Equal nodes are one node with several readers, through which nothing moves.
        """
        tensor, values = node.input(0), self._values
        if tensor in self.graph.inputs:
            others = [reader for reader in self._live_readers(tensor) if reader is not node]
            return not any(values[reader.outputs[0]] == values[node.outputs[0]] for reader in others)
        made = [
            other for other, value in values.items() if value == values.get(tensor) and other in self.graph.producer
        ]
        readers = [reader for one in made for reader in self._live_readers(one)]
        maker = self.graph.producer.get(tensor)
        if maker is not None and maker.op == "Transpose":  # Shape then reads what the Transpose reads
            readers = [reader for reader in readers if reader.op != "Shape"]
        return tensor not in self.graph.outputs and len(readers) == 1

    @cached_property
    def _values(self) -> dict[str, int]:
        """A number for each tensor; the same for two if nodes compute them alike, so that onnxruntime keeps one."""
        known: dict[Hashable, int] = {}
        found: dict[str, int] = {}

        def number(tensor: str) -> int:
            if tensor not in found:  # a constant, an input of the graph, or the empty name of an input left out
                value = self.graph.value(tensor)
                key = tensor if value is None else (str(value.dtype), value.shape, value.tobytes())
                found[tensor] = known.setdefault(key, len(known))
            return found[tensor]

        for node in self.graph.nodes:
            call = (node.op, node.domain, repr(sorted(node.attributes.items())), *map(number, node.inputs))
            for place, output in enumerate(node.outputs):
                found[output] = known.setdefault((call, place), len(known))
        return found

    def _vanishes_as_constant(self, shape: Node) -> bool:
        """Whether a Shape is gone before anything moves: its result is known, or gives the sizes of Reshapes of the
        same tensor.
        """
        tensor, results, ends = shape.input(0), [*shape.outputs], list[Node]()
        while results:
            for reader in self.graph.readers(results.pop()):
                results += reader.outputs if reader.op in _PARTS_OF_SHAPES else ()
                ends += () if reader.op in _PARTS_OF_SHAPES else (reader,)
        reshapes = all(end.op == "Reshape" and end.input(0) == tensor for end in ends)
        leaves = any(output in self.graph.outputs for output in shape.outputs)
        return (bool(ends) and reshapes and not leaves) or self.graph.has_fixed_shape(tensor)

    def _beyond(self, node: Node, reader: Node) -> Written:
        """The QuantizeLinear behind a clamp or data movement that is the only reader of an output."""
        if reader.op in _CLAMPS and node.op not in _CLAMPS:
            if reader.outputs[0] in self.graph.outputs:
                return Written(None, f"its output is read by {reader}, not by a QuantizeLinear", stays_float=True)
            reason = self.vanishes(reader)
            return Written(None, reason) if reason else self.written(reader)
        if reader.op in PUSHED_THROUGH and reader.input(0) == node.outputs[0] and len(reader.outputs) == 1:
            beyond = self.written(reader)
            if beyond.quantize is not None:
                return beyond
        return Written(None, f"its output is read by {reader}, not by a QuantizeLinear", stays_float=True)

    def _live_readers(self, tensor: str) -> list[Node]:
        """The readers of a tensor that are left; an Identity or Dropout is replaced by its own readers."""
        found: list[Node] = []
        for reader in self.graph.readers(tensor):
            if reader.op == "Shape" and self._vanishes_as_constant(reader):
                continue
            through = reader.op in DROPPED and reader.outputs[0] not in self.graph.outputs
            found += self._live_readers(reader.outputs[0]) if through else [reader]
        return found

    def _clip_bounds(self, clip: Node) -> tuple[float, float] | None:
        """The constant bounds of a Clip: inputs since opset 11, attributes before; None if they are computed."""
        bounds = [clip.attributes.get("min", float("-inf")), clip.attributes.get("max", float("inf"))]
        for index, tensor in enumerate((clip.input(1), clip.input(2))):
            if tensor and tensor not in self.graph.constants:
                return None
            value = self.graph.value(tensor)
            bounds[index] = bounds[index] if value is None else float(value)
        return float(bounds[0]), float(bounds[1])
