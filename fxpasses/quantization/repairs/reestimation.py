"""Re-estimate scale and bias of each channel from the layer's outputs after rounding, as BatchNorm would.

Rounding weights and activations changes the mean and the variance of a layer's outputs, and the changes add up over
layers. A BatchNorm could measure its statistics again; here it is folded, so its scale and bias are the weight's scale
and the bias of each output channel, which can change at no cost. From the inputs on, each layer's output ``y_q``,
computed from the outputs of the corrected int8 layers before it, is fitted to the float layer's ``y`` by scale and
bias::

    gain = cov(y, y_q) / var(y_q)      bias' = gain * bias + mean(y) - gain * mean(y_q)

BatchNorm's own ``gain = std(y) / std(y_q)`` treats rounding noise as signal; its results are about the same.
Layers with fewer than :data:`PAIRS` values per channel (after a global pool) are not changed, and all changes are
undone unless the outputs are nearer to float on held-out samples. It is for few bits; docs/repairs.md has its gains.

Sources: Hubara et al. 2020, "Improving Post Training Neural Quantization: Layer-wise Calibration and Integer
Programming", arXiv:2006.10518 (batch normalization tuning); Finkelstein et al. 2019, "Fighting Quantization Bias With
Bias", arXiv:1906.03193 (the means alone).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx

from ...graph.edit import operator_of
from ...graph.meta_keys import LAYER
from ...graph.pass_runner import Change, PassLog, PassResult, Skip, pass_logs
from ...graph.shapes import shape_of
from ...graph.stages import Stage, check_stage, config_of, graph_facts
from ...signature.outputs import tensors_of
from ...signature.samples import is_fixed_batch
from ..config import QuantConfig
from ..int8.convert import convert
from ..int8.int8_calls import LayerIntegers, find_float_results, find_int8_calls
from ..int8.observe import without_observers
from ..int8.weights import LARGEST_BIAS
from ..numbers.tie_free import SMALLEST_PROVABLE, tie_free_multipliers
from ..ranges.calibration import checked_batches
from ..ranges.first_samples import first_samples
from ..repair_steps import ConversionStep

SAMPLES = 256
"""Number of calibration samples used."""
HELD_OUT = 64
"""Number of last samples held out for the final comparison, or a third of few; equalization has used the first ones."""
VALUES = 1 << 25
"""Largest number of values of the largest tensor over all samples: they are held in memory, some four times."""
POSITIONS = 64
"""Number of positions of a feature map used per sample."""
PAIRS = 1000
LARGEST_GAIN = 4 / 3
PIECE = 16


def reestimate(gm: fx.GraphModule, batches: Iterable[Any], config: QuantConfig | None = None) -> fx.GraphModule:
    """Convert, and correct each layer's scale and bias; used instead of :func:`fxpasses.convert`, and seconds slower.

    Args:
        gm: an OBSERVED graph, calibrated. It is not changed.
        batches: calibration data, as :func:`fxpasses.calibrate` takes it; of the first 256 samples
            only as many are used as fit into memory.
        config: as for :func:`fxpasses.convert`.

    Raises:
        GraphError, InputError: in the cases of :func:`fxpasses.convert` and :func:`fxpasses.calibrate`.
    """
    check_stage(gm, Stage.OBSERVED, "reestimate")
    int8, exact = convert(gm, config), without_observers(gm)
    config = config_of(int8)
    assert isinstance(config, QuantConfig)
    correcting, held_out = _samples(exact, batches)
    before, untouched = _sqnr_db(exact, int8, held_out), {k: v.clone() for k, v in int8.state_dict().items()}
    run = _Correction(int8, _float_outputs(exact, correcting), config)
    with torch.no_grad():
        run.run(*correcting)
    after, result = _sqnr_db(exact, int8, held_out), run.result
    figures = f"SQNR {before:.1f} dB before, {after:.1f} after"
    if after <= before:
        int8.load_state_dict(untouched)
        nodes = [c.node for c in result.changed]
        why = f"outputs come no nearer to float: {figures}"
        result = PassResult([], [*result.skipped, *(Skip(n, why) for n in nodes)])
    else:
        graph_facts(int8).config = replace(config, reestimation=True)
        result.changed[:] = [Change(c.node, f"{c.what}; of the outputs {figures}") for c in result.changed]
    pass_logs(int8).append(PassLog("reestimate", result))
    return int8


STEP = ConversionStep(
    lambda gm, first, config, progress: reestimate(gm, first, config), SAMPLES, "convert and re-estimate"
)

Tensors = Sequence[Tensor]


def _samples(gm: fx.GraphModule, batches: Iterable[Any]) -> tuple[Tensors, Tensors]:
    """Samples for the correction and held-out samples: a tensor for each of the model's inputs."""
    kept, _ = first_samples(checked_batches(gm, batches), SAMPLES)
    shapes = {tuple(x.shape[1:] for x in inputs if isinstance(x, Tensor)) for inputs in kept}
    if is_fixed_batch(gm) or len(shapes) > 1:
        return kept[0], kept[-1]
    whole = [torch.cat([inputs[k] for inputs in kept])[:SAMPLES] for k in range(len(kept[0]))]
    held_out = max(1, min(HELD_OUT, len(whole[0]) // 3))
    sizes = [math.prod(shape[1:]) for n in gm.graph.nodes if (shape := shape_of(n))]
    correcting = max(1, min(len(whole[0]) - held_out, VALUES // max(sizes, default=1)))
    return [x[:correcting] for x in whole], [x[-held_out:] for x in whole]


def _sqnr_db(exact: fx.GraphModule, int8: fx.GraphModule, inputs: Tensors) -> float:
    signal = noise = 0.0
    pieces = [inputs] if is_fixed_batch(exact) else zip(*(x.split(PIECE) for x in inputs), strict=True)
    with torch.no_grad():
        for piece in pieces:
            for x, y in zip(tensors_of(exact(*piece)), tensors_of(int8(*piece)), strict=True):
                if x.is_floating_point():
                    signal += float(x.double().square().sum())
                    noise += float((x.double() - y.double()).square().sum())
    return math.inf if noise == 0 else 10 * math.log10(max(signal, 1e-30) / noise)


def _values(y: Tensor, axis: int) -> Tensor:
    """Values at some positions of each sample: ``[C, values]``; the same positions for equal shapes."""
    spread = y.movedim(axis, 1)
    spread = spread.flatten(2) if y.dim() > 2 else spread[:, :, None]
    return spread[:, :, :: max(1, spread.shape[2] // POSITIONS)].transpose(0, 1).flatten(1).double()


def _float_outputs(exact: fx.GraphModule, inputs: Tensors) -> dict[str, Tensor]:
    """Some values of each layer's output, by the layer's node: float32 ``[C, values]``."""

    class Run(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            y, operator = super().run_node(n), operator_of(exact, n)
            if operator is not None and operator.weight_axis is not None:
                found.setdefault(n.name, []).append(_values(y, operator.channel_axis).float())
            return y

    found: dict[str, list[Tensor]] = {}
    pieces = [inputs] if is_fixed_batch(exact) else zip(*(x.split(PIECE) for x in inputs), strict=True)
    with torch.no_grad():
        for piece in pieces:
            Run(exact).run(*piece)
    return {name: torch.cat(parts, 1) for name, parts in found.items()}


@dataclass(frozen=True)
class _Layer:
    """A layer's integers, the scales of its input and output (None if it is float), and the axis of its channels."""

    integers: LayerIntegers
    x: float
    y: float | None
    axis: int


def _layers(int8: fx.GraphModule) -> dict[fx.Node, _Layer]:
    calls, results = find_int8_calls(int8).values(), find_float_results(int8).values()
    found = {r.node: _Layer(r.layer, r.x.scale, None, r.operator.channel_axis) for r in results}
    for c in calls:
        if c.layer is not None:
            found[c.node] = _Layer(c.layer, c.x[0].scale, c.y.scale, c.operator.channel_axis)
    return found


class _Correction(fx.Interpreter):
    """Run a QUANTIZED graph on all samples and correct each layer when it is reached."""

    def __init__(self, int8: fx.GraphModule, expected: dict[str, Tensor], config: QuantConfig) -> None:
        super().__init__(int8)
        self.int8, self.expected, self.config, self.result = int8, expected, config, PassResult()
        self.layers = _layers(int8)

    def run_node(self, n: fx.Node) -> Any:
        y, layer = super().run_node(n), self.layers.get(n)
        if layer is None:
            return y
        weight = n.args[1]
        assert isinstance(weight, fx.Node)
        name: str = weight.meta[LAYER]
        wanted, found = self.expected[name], _values(y, layer.axis)
        why = _why_not(layer.integers, found)
        if why is not None:
            self.result.skipped.append(Skip(name, why))
            return y
        y, gain = self._correct(n, layer, y, wanted.double(), found)
        self.result.changed.append(Change(name, f"scales times {float(gain.min()):.3f} to {float(gain.max()):.3f}"))
        return y

    def _correct(self, node: fx.Node, layer: _Layer, y: Tensor, wanted: Tensor, found: Tensor) -> tuple[Tensor, Tensor]:
        """The layer's output after correction, and the factors of its scales, ``[C]``."""
        integers, x = layer.integers, layer.x
        assert integers.bias is not None
        means, means_found = wanted.mean(1), found.mean(1)
        centred = found - means_found[:, None]
        variance = centred.square().mean(1)
        gain = ((wanted - means[:, None]) * centred).mean(1) / variance
        gain = torch.where(variance > 0, gain, 1.0).clamp(1 / LARGEST_GAIN, LARGEST_GAIN)
        scale = integers.weight_scale
        moved = self._settled(scale.double() * gain, x, layer.y)
        gain = moved.double() / scale.double()
        step = torch.tensor(x, dtype=torch.float32) * moved
        old = integers.bias.double() * (torch.tensor(x, dtype=torch.float32) * scale).double()
        shifted = ((old - means_found) * gain + means) / step.double()
        fits = shifted.abs() < LARGEST_BIAS
        gain, moved = torch.where(fits, gain, 1.0), torch.where(fits, moved, scale)
        step = torch.tensor(x, dtype=torch.float32) * moved
        bias = torch.where(fits, shifted, integers.bias.double()).round()
        self._write(node, moved, bias.to(torch.int32), step)
        shape = [1] * y.dim()
        shape[layer.axis] = -1
        shift = bias * step.double() - old * gain
        return y * gain.float().reshape(shape) + shift.float().reshape(shape), gain

    def _settled(self, scale: Tensor, x: float, y: float | None) -> Tensor:
        """Tie-free scales near the given ones, as in conversion: float32."""
        if y is not None and self.config.avoids_ties:
            wanted = scale * x / y
            wanted = wanted.clamp(min=SMALLEST_PROVABLE) if self.config.exact else wanted
            scale = tie_free_multipliers(wanted)[0] * y / x
        return scale.to(torch.float32)

    def _write(self, node: fx.Node, scale: Tensor, bias: Tensor, step: Tensor) -> None:
        weight, dequantized = node.args[1], node.args[2]
        assert isinstance(weight, fx.Node) and isinstance(dequantized, fx.Node)
        for place, value in ((weight.args[1], scale), (dequantized.args[0], bias), (dequantized.args[1], step)):
            assert isinstance(place, fx.Node)
            path, _, name = str(place.target).rpartition(".")
            self.int8.get_submodule(path).get_buffer(name).copy_(value)


def _why_not(layer: LayerIntegers, found: Tensor) -> str | None:
    if layer.bias is None:
        return "it has no bias"
    if layer.axis != 0:
        return "its weights have no scale of their own for each output"
    if found.shape[1] < PAIRS:
        return f"{found.shape[1]} values per channel are too few"
    return None
