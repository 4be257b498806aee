"""Use a narrower range for a tensor if that halves the error that its rounding causes at the outputs.

A range is chosen by the error of the tensor itself. A few tensors near the outputs cause most of the outputs' rounding
error, while clipping their extreme values hardly changes the outputs: for these a narrower range is better. Halving
such a range can multiply the error of the tensor and still remove noise at the logits (docs/lab_notes.md).

Each tensor in turn is quantized alone, with the rest of the net in float, with its range and with parts of it; the
outputs are compared on two sets of samples, and both must agree. A tensor that causes little noise keeps its range: a
gain on a few samples is lost on others. Only the end of the net is examined: noise from earlier tensors is spread over
many values there, and running the whole net again would take long.

Related: Nahshan et al. 2021, arXiv:1911.07190, search ranges by the loss of the task instead of the tensor's error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from ...graph.cuts import cut_points, part
from ...graph.edit import module_of
from ...graph.pass_runner import Change, PassLog, PassResult, pass_logs
from ...graph.shapes import is_float_tensor, shape_of
from ...graph.stages import Stage, check_stage, config_of
from ...signature.outputs import leaves_of
from ...signature.samples import is_fixed_batch
from ..config import QuantConfig
from ..int8.observe import find_observers, without_observers
from ..numbers import ops
from ..numbers.qparams import IntType, QParams
from ..ranges.calibration import checked_batches, pieces
from ..ranges.observers import HistogramObserver, Observer
from ..ranges.range_search import Range, qparams_of
from ..repair_steps import RangeStep

SAMPLES = 32
"""Number of samples: half of them measure, the other half must agree."""
END = 1 / 12
"""Size of the end of the net: largest share of all computed values that may come after its first tensor."""
FRACTIONS = (0.7, 0.5)
"""Fractions of a range that are tried; with smaller ones the clipping errors of several tensors add up too much."""
SQUARED = 2.0
"""Norm of the observers whose range may be changed; observers with other norms were requested by name."""
SMALLEST_NOISE = 1e-4
"""Smallest noise at the outputs, as a share of their power, for which narrower ranges are tried."""
WORTH = 0.5
"""Largest remaining share of the noise for which a narrower range is used."""


class NarrowedObserver(Observer):
    """Observer with a fraction of the range that another observer chooses."""

    def __init__(self, source: Observer, fraction: float) -> None:
        super().__init__()
        self.source, self.fraction = source, fraction

    @property
    def observed(self) -> int:
        return self.source.observed

    @property
    def extremes(self) -> Range:
        return self.source.extremes

    def _take_in(self, x: Tensor) -> None:
        self.source.observe(x)

    def _chosen_range(self, grid: IntType, symmetric: bool) -> Range:
        low, high = self.source.range(grid, symmetric)
        return low * self.fraction, high * self.fraction


def narrow_ranges(gm: fx.GraphModule, batches: Iterable[Any], may_move: Callable[[str], bool] | None = None) -> None:
    """Narrow the ranges of tensors whose rounding causes much output noise; runs after :func:`fxpasses.calibrate`.

    Args:
        gm: an OBSERVED graph, calibrated. Observers of such tensors are replaced.
        batches: calibration data, as :func:`fxpasses.calibrate` takes it; the first 32 samples are used.
        may_move: whether the tensor with this name may get a narrower range. Default: tensors whose observer is
            ``histogram``, which chooses by squared error.

    Raises:
        GraphError: the graph is not OBSERVED.
        InputError: there is no data.
    """
    check_stage(gm, Stage.OBSERVED, "narrow_ranges")
    exact, result = without_observers(gm), PassResult()
    nodes = find_observers(gm)
    observers = {name: module_of(gm, node, Observer) for name, node in nodes.items()}
    asked = {name: o for name, o in observers.items() if (is_by_error(o) if may_move is None else may_move(name))}
    for name, (fraction, less_db) in _best_fractions(exact, batches, asked, config_of(gm)).items():
        gm.set_submodule(str(nodes[name].target), NarrowedObserver(observers[name], fraction))
        told = f"{fraction:g} of its range: its rounding causes {less_db:.1f} dB less noise at the outputs"
        result.changed.append(Change(name, told))
    pass_logs(gm).append(PassLog("narrow_ranges", result))


STEP = RangeStep(narrow_ranges, SAMPLES)


def is_by_error(observer: Observer) -> bool:
    """Whether the observer chose its range by squared error; other observers were requested by name."""
    return type(observer) is HistogramObserver and observer.norm == SQUARED


def _best_fractions(
    gm: fx.GraphModule, batches: Iterable[Any], observers: Mapping[str, Observer], config: QuantConfig
) -> dict[str, tuple[float, float]]:
    """By tensor: the fraction of its range with the least noise at the outputs, and the reduction in dB.

    Both halves of the samples must agree. After the first half only tensors with much noise are tried.
    """
    cut = _begin_of_end(gm)
    at_cut = None if cut is None or is_fixed_batch(gm) else _values_at(gm, cut, batches)
    if cut is None or at_cut is None or len(at_cut) < 2:
        return {}
    end = part(gm, [cut], next(n for n in gm.graph.nodes if n.op == "output").args[0])
    asked: dict[str, tuple[float, ...]] = {n.name: FRACTIONS for n in end.graph.nodes if n.name in observers}
    found: list[dict[str, dict[float, float]]] = []
    for half in at_cut.chunk(2):
        noises = _noises(_End(end, half), {name: observers[name] for name in asked}, config)
        worth = {name: tuple(f for f in asked[name] if of[f] < WORTH * of[1.0]) for name, of in noises.items()}
        asked = {name: fractions for name, fractions in worth.items() if fractions}
        found.append(noises)
    return {name: _least([noises[name] for noises in found], fractions) for name, fractions in asked.items()}


def _values_at(gm: fx.GraphModule, cut: fx.Node, batches: Iterable[Any]) -> Tensor | None:
    """Values of one tensor for the first samples; None if its first dimension is not the batch."""
    head = part(gm, [n for n in gm.graph.nodes if n.op == "placeholder"], cut)
    made: list[Tensor] = []
    with torch.no_grad():
        for inputs in checked_batches(gm, batches):
            for piece in pieces(gm, inputs):
                made.append(head(*piece))
                if len(made[-1]) != len(piece[0]) or made[-1].shape[1:] != (shape_of(cut) or ())[1:]:
                    return None
            if sum(map(len, made)) >= SAMPLES:
                break
    return torch.cat(made)[:SAMPLES]


def _begin_of_end(gm: fx.GraphModule) -> fx.Node | None:
    """The earliest tensor near the outputs that all data passes through and that has the batch in front."""
    batch = {shape[0] for n in gm.graph.nodes if n.op == "placeholder" and (shape := shape_of(n))}
    cuts = {n for n in cut_points(gm.graph) if is_float_tensor(n) and {*(shape_of(n) or ())[:1]} == batch}
    sizes = {n: math.prod(shape[1:]) for n in gm.graph.nodes if n.op != "placeholder" and (shape := shape_of(n))}
    left, most, found = 0, END * sum(sizes.values()), None
    for node in reversed(gm.graph.nodes):
        if left > most:
            break
        if node in cuts:
            found = node
        left += sizes.get(node, 0)
    return found


def _noises(end: _End, observers: Mapping[str, Observer], config: QuantConfig) -> dict[str, dict[float, float]]:
    """Noise at the outputs by tensor and fraction of its range, for tensors that cause enough noise."""
    symmetric, found = config.for_target.symmetric_activations, dict[str, dict[float, float]]()
    for name, observer in observers.items():
        low, high = observer.range(config.activation_grid, symmetric)
        for fraction in (1.0, *FRACTIONS):
            q = qparams_of((low * fraction, high * fraction), config.activation_grid, symmetric=symmetric)
            noise = end.noise(name, q)
            if fraction == 1.0 and noise < SMALLEST_NOISE:
                break
            found.setdefault(name, {})[fraction] = noise
    return found


def _least(noises: Sequence[Mapping[float, float]], fractions: Sequence[float]) -> tuple[float, float]:
    total = {f: sum(of_half[f] for of_half in noises) for f in (1.0, *fractions)}
    best = min(fractions, key=total.__getitem__)
    return best, 10 * math.log10(total[1.0] / max(total[best], 1e-30))


class _End:
    """The last part of a FLOAT graph with all its values on some samples; it can run again from any of its tensors."""

    def __init__(self, end: fx.GraphModule, x: Tensor) -> None:
        self._run, self._order = fx.Interpreter(end), list(end.graph.nodes)
        self._place = {node: place for place, node in enumerate(self._order)}
        self._named = {node.name: node for node in self._order}
        self._last_use = {n: max((self._place[user] for user in n.users), default=0) for n in self._order}
        keeping = fx.Interpreter(end, garbage_collect_values=False)
        with torch.no_grad():
            keeping.run(x)
        self._values = keeping.env
        self._power = sum(float(y.double().square().sum()) for y in self._outputs(self._values))

    def _outputs(self, values: dict[fx.Node, Any]) -> list[Tensor]:
        leaves = list(leaves_of(values[self._order[-1]]))
        return [y for y in leaves if isinstance(y, Tensor) and y.is_floating_point()]

    @torch.no_grad()
    def noise(self, name: str, q: QParams) -> float:
        """Noise at the outputs from quantizing one tensor alone, as a share of the outputs' power."""
        node = self._named[name]
        integers = ops.quantize(self._values[node], q.scale, q.zero_point, q.grid.dtype)
        changed: dict[fx.Node, Any] = {node: ops.dequantize(integers, q.scale, q.zero_point)}
        for n in self._order[self._place[node] + 1 :]:
            if any(source in changed for source in n.all_input_nodes):
                self._run.env = {s: changed[s] if s in changed else self._values[s] for s in n.all_input_nodes}
                changed[n] = self._run.run_node(n)
                for source in n.all_input_nodes:
                    if self._last_use[source] == self._place[n]:
                        changed.pop(source, None)
        self._run.env = {}
        pairs = zip(self._outputs({**self._values, **changed}), self._outputs(self._values), strict=True)
        return sum(float((a - b).double().square().sum()) for a, b in pairs) / max(self._power, 1e-30)
