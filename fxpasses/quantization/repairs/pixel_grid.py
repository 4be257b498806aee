"""Let the first convolution read an image's own pixels as integers, so that the image is not rounded at all.

An image has 256 levels per channel, and normalization keeps them: ``x = (p / 255 - mean_c) / std_c``. But ``std_c`` and
``mean_c`` differ between channels, and an int8 tensor has one scale and one zero_point, so each channel is rounded to
levels other than its own: this is a fifth of all noise at the logits of CIFAR-10's ResNets. The levels can be found in
the calibration data, ``x = s_c * p + l_c``. Without normalization every value is an integer::

    u = (x - l_c) / s_c - Z = p - Z        scale 1, zero_point Z for all channels
    w_c' = s_c * w_c                       the convolution's weights contain the factor

The offset ``s_c * Z + l_c`` is a constant inside the image and zero on its padding. One more channel holds a constant
``K`` inside the image, and has the weights ``sum_c (s_c * Z + l_c) * w_c / K``, so the function does not change, also
at the borders. The extra channel costs no time: integer kernels round three channels up to four.

If weights of neighbouring channels must not saturate a 16-bit sum (``Target.pair_safe``), a constant channel follows
each channel of the image: ``R, K, G, K, B, K, K, K``. The weights of colours, which mostly have the same sign, are then
paired with zeros and keep 8 bits; the last two channels carry the offsets. Kernels need the same time for eight
channels as for four.

Values that are no pixels (another normalization, resized floats) are rounded to the nearest level, as before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import Argument

from ...graph.edit import add_module, module_of, operator_of, with_parameters
from ...graph.meta_keys import SHAPE
from ...graph.pass_runner import Change, PassLog, PassResult, Skip, copy_graph, pass_logs
from ...graph.shapes import carried_meta, is_float_tensor, shape_of
from ...graph.stages import Stage, check_stage
from ...signature.outputs import hands_out
from ..config import QuantConfig
from ..int8.float32_layers import require_float32
from ..int8.pixel_qparams import LEVELS
from ..numbers import ops
from ..ranges.calibration import checked_batches
from ..ranges.first_samples import samples_of
from ..repair_steps import FloatStep

SAMPLES = 64
"""Number of images used."""
FEWEST_LEVELS = 16
"""Fewest levels that a channel must show; with fewer their positions are uncertain."""
_LOOKED_AT = 1 << 16
"""Number of values of a channel that the levels are computed from; the others are only compared with them."""
_AT_A_TIME = 8
"""Number of images compared with the levels at a time; copies of all 64 would increase peak memory."""
_OFF = 0.02
"""Largest distance of a value from its level, in steps."""
_BLOCK = 4
"""Number of input channels that integer kernels process together."""


@dataclass(frozen=True)
class Levels:
    """Positions of each channel's levels, ``x = step * p + lowest`` for p from 0 to 255: float64 ``[C]`` each."""

    step: Tensor
    lowest: Tensor

    @property
    def zero_point(self) -> int:
        """The level nearest to 0, on average over the channels; limited to 0 to 255, because padding is 0."""
        return int((-self.lowest / self.step).mean().round().clamp(0, LEVELS))

    @property
    def are_one_grid(self) -> bool:
        """Whether one scale and one integer zero_point already fit the levels of all channels."""
        zero = -self.lowest / self.step
        return bool(((self.step / self.step[0] - 1).abs() * LEVELS < _OFF).all()) and bool(
            ((zero - zero[0].round()).abs() < _OFF).all()
        )


def align_pixels(gm: fx.GraphModule, batches: Iterable[Any], config: QuantConfig | None = None) -> fx.GraphModule:
    """Let the graph read images as integer pixels; its results stay the same up to float rounding.

    This happens if calibration data has at most 256 evenly spaced levels per channel, only convolutions over all
    channels read it, and activations and weights have 8 bits, activations with a zero_point (not ``target="cuda"``).
    Run it after :func:`fxpasses.equalize`, which rescales the convolutions.

    Args:
        gm: a FLOAT graph, fused. It is not changed.
        batches: calibration data, as :func:`fxpasses.calibrate` takes it; the first 64 samples are used.
        config: settings of the quantization; defaults to ``QuantConfig()``.

    Raises:
        GraphError: the graph is not FLOAT.
        InputError: there is no data.
    """
    config = config or QuantConfig()
    check_stage(gm, Stage.FLOAT, "align_pixels")
    require_float32(gm, "align_pixels")
    gm, result = copy_graph(gm), PassResult()
    images = _images(gm, batches) if config.can_align_pixels else {}
    for node, seen in images.items():
        why = _why_not_read(gm, node, config)
        levels = find_levels(*seen) if why is None else None
        if levels is None or levels.are_one_grid:
            result.skipped.append(
                Skip(node.name, why or ("one scale fits its channels" if levels else "its values have no levels"))
            )
            continue
        new = _align(gm, node, levels, spread=config.for_target.pair_safe)
        result.changed.append(Change(node.name, f"a step of the grid is a pixel's, zero_point {levels.zero_point}"))
        result.skipped.append(Skip(new.name, "it maps images to the numbers of their pixels", stays_float=True))
    gm.delete_all_unused_submodules()
    gm.graph.lint()
    gm.recompile()
    pass_logs(gm).append(PassLog("align_pixels", result))
    return gm


STEP = FloatStep(align_pixels, SAMPLES)


def _images(gm: fx.GraphModule, batches: Iterable[Any]) -> dict[fx.Node, list[Tensor]]:
    """The first samples of each input that is a batch of images."""
    inputs = [n for n in gm.graph.nodes if n.op == "placeholder"]
    kept: dict[fx.Node, list[Tensor]] = {n: [] for n in inputs if is_float_tensor(n) and len(shape_of(n) or ()) == 4}
    if not kept:
        return {}
    seen = 0
    for batch in checked_batches(gm, batches):
        for node, x in zip(inputs, batch, strict=True):
            if node in kept:
                kept[node].append(x[: SAMPLES - seen])
        seen += max(1, samples_of(batch))
        if seen >= SAMPLES:
            break
    return kept


def _why_not_read(gm: fx.GraphModule, image: fx.Node, config: QuantConfig) -> str | None:
    readers = _readers(image)
    for reader in readers:
        operator = operator_of(gm, reader)
        if operator is None or operator.name != "conv2d" or reader.op != "call_module":
            return f"{reader.name} reads it, and is no convolution"
        layer = module_of(gm, reader, nn.Conv2d)
        if layer.groups != 1 or layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            return f"{reader.name} reads it, in groups or with a padding of its own"
        if config.keeps_float(gm, reader):
            return f"{reader.name} reads it, and stays float"
    return None if readers else "nothing reads it"


def _readers(image: fx.Node) -> list[fx.Node]:
    """The nodes that read an image's values; other nodes read its size."""
    return [reader for reader in image.users if hands_out(reader) or is_float_tensor(reader)]


def find_levels(*images: Tensor) -> Levels | None:
    """The levels of each channel of batches ``[N, C, H, W]``; None if a channel's values lie on no levels.

    If fewer than 256 levels are seen, the others are added evenly at both ends.
    """
    found = [
        _levels_of([x[:, c] for batch in images for x in batch.split(_AT_A_TIME)]) for c in range(images[0].shape[1])
    ]
    if not found or any(f is None for f in found):
        return None
    steps, lowest = zip(*(f for f in found if f is not None), strict=True)
    return Levels(torch.tensor(steps, dtype=torch.float64), torch.tensor(lowest, dtype=torch.float64))


def _levels_of(parts: Sequence[Tensor]) -> tuple[float, float] | None:
    """Step and lowest level of one channel; images are large, so one part is compared at a time."""
    every = max(1, sum(x.numel() for x in parts) // _LOOKED_AT)
    some = torch.cat([x.reshape(-1)[::every] for x in parts]).double().unique()
    if not FEWEST_LEVELS <= len(some) <= LEVELS + 1 or not all(bool(torch.isfinite(x).all()) for x in parts):
        return None
    first, step = float(some[0]), float(some.diff().min())
    most = round(float(some[-1] - first) / step)
    if most > LEVELS:
        return None
    step = float(some[-1] - first) / most
    low, high = 0, 0
    for x in parts:
        at = (x - first).div_(step)
        whole = at.round()
        low, high = min(low, int(whole.min())), max(high, int(whole.max()))
        if float(at.sub_(whole).abs_().max()) > _OFF or high - low > LEVELS:
            return None
    return step, first + (low - (LEVELS - (high - low)) // 2) * step


def _align(gm: fx.GraphModule, image: fx.Node, levels: Levels, *, spread: bool) -> fx.Node:
    """Put ``pixels`` between an image and the convolutions that read it."""
    zero, channels = levels.zero_point, len(levels.step)
    wide, rest = -(-(channels + 1) // _BLOCK) * _BLOCK, float(LEVELS - zero)
    wide = 2 * (channels + 1) if spread else wide
    factor, offset = 1 / levels.step, -levels.lowest / levels.step - zero
    readers = _readers(image)
    with gm.graph.inserting_after(image):
        arguments: tuple[Argument, ...] = (image, factor.tolist(), offset.tolist(), rest, wide)
        arguments = (*arguments, True) if spread else arguments
        new = gm.graph.create_node("call_function", ops.pixels, arguments, name=f"{image.name}_pixels")
    n, _, *size = shape_of(image) or ()
    new.meta = carried_meta(image) | {SHAPE: (n, wide, *size)}
    for reader in readers:
        layer = module_of(gm, reader, nn.Conv2d)
        weight = _weight_of_pixels(layer.weight.detach().double(), levels, rest, wide, spread=spread)
        twin = with_parameters(layer, weight=weight.float(), bias=layer.bias)
        twin.in_channels = wide
        if sum(n.target == reader.target for n in gm.graph.nodes) > 1:
            reader.target = add_module(gm, str(reader.target), twin)
        else:
            gm.set_submodule(str(reader.target), twin)
        reader.replace_input_with(image, new)
    return new


def _weight_of_pixels(weight: Tensor, levels: Levels, rest: float, wide: int, *, spread: bool) -> Tensor:
    """A weight ``[O, C, h, w]`` for integer pixels ``[O, wide, h, w]``; the last channels carry the offsets.

    These are channel C, or, with constant channels between those of the image, the last two.
    """
    channels, apart = weight.shape[1], 2 if spread else 1
    shape = (1, channels, 1, 1)
    made = torch.zeros(len(weight), wide, *weight.shape[2:], dtype=torch.float64)
    made[:, : channels * apart : apart] = weight * levels.step.reshape(shape)
    shift = levels.step * levels.zero_point + levels.lowest
    offsets = (weight * shift.reshape(shape)).sum(1, keepdim=True) / rest
    made[:, channels * apart : (channels + 1) * apart] = offsets / apart
    return made
