"""The settings of a quantization, checked when they are made."""

from __future__ import annotations

import fnmatch
import math
from dataclasses import dataclass

from torch import fx, nn

from ..errors import InputError
from ..graph.edit import module_of, operator_name
from .numbers.qparams import INT16_SYMMETRIC, UINT16, IntType
from .numbers.targets import AUTO as AUTO_TARGET
from .numbers.targets import Target, find_target, resolved_target
from .numbers.weight_groups import MOST_BITS, SHORTEST, group_length, largest_multiple
from .ranges.observer_spec import SWEEP, ObserverSpec, parse_observer

SMALLEST_BITS, LARGEST_BITS = 2, 8
SHORT_ROW = 64
"""Rows of fewer weights (depthwise 9, a first layer 27, narrow 1x1 layers 16 to 48) keep 8 bits: few as they are, they
cannot mend each other, and hold a small part of all weights."""


def check_weight_bits(bits: int) -> None:
    """Raises :class:`InputError` for a number of bits int8 arithmetic has no weights of."""
    if not SMALLEST_BITS <= bits <= LARGEST_BITS:
        raise InputError(
            f"`weight_bits={bits}`",
            why=f"weights of int8 layers have {SMALLEST_BITS} to {LARGEST_BITS} bits",
            fix="use 8 for speed alone, 4 for smaller files",
        )


AUTO = "auto"


def check_smoothing(alpha: float | str) -> None:
    """Raises :class:`InputError` for what is no alpha of :func:`fxpasses.smooth`."""
    is_number = isinstance(alpha, (int, float)) and not isinstance(alpha, bool)
    if alpha != AUTO and not (is_number and 0 <= float(alpha) <= 1):
        raise InputError(
            f"`smoothing={alpha!r}`",
            why="alpha is a number from 0 (activations stay) to 1 (activations become even)",
            fix=f"use 0.5, as published, or {AUTO!r}",
        )


def check_activation_bits(config: QuantConfig) -> None:
    """Raises :class:`InputError` for a number of bits there is no type of, or for what goes with 8 only."""
    bits = config.activation_bits
    if bits not in (LARGEST_BITS, 16):
        raise InputError(f"`activation_bits={bits}`", why="activations have 8 or 16 bits", fix="use 8 for speed")
    alien = {"`exact=True`": config.exact, '`rounding="learned"`': config.rounding == "learned"}
    refused = [name for name, is_asked in alien.items() if is_asked] if bits != LARGEST_BITS else []
    if refused:
        raise InputError(
            f"`activation_bits={bits}` with {' and '.join(refused)}",
            why="no CPU sums products of 16 bits as integers, and what float gives is not exact",
            fix="drop one of them",
        )


@dataclass(frozen=True)
class Override:
    """Other settings for the nodes a pattern matches.

    Attributes:
        match: a node's name, its module's path, or its operator, with shell wildcards: ``"layer1.*"``, ``"linear"``;
            ``"node:add"``, ``"layer:fc"`` and ``"operator:add"`` mean only one of them.
        keep_float: leave these nodes in float.
        observer: observe their output with this instead.
        weight_bits: round their weights to so many bits.
    """

    match: str
    keep_float: bool = False
    observer: str | None = None
    weight_bits: int | None = None

    def __post_init__(self) -> None:
        if not self.keep_float and self.observer is None and self.weight_bits is None:
            raise InputError(
                f"override {self.match!r}",
                why="it changes nothing",
                fix="give it keep_float=True, an observer or weight_bits",
            )
        if self.observer is not None:
            parse_observer(self.observer)
        if self.weight_bits is not None:
            check_weight_bits(self.weight_bits)

    def matches(self, gm: fx.GraphModule, node: fx.Node) -> bool:
        kind, colon, pattern = self.match.partition(":")
        names = {
            "node": node.name,
            "layer": str(node.target) if node.op == "call_module" else None,
            "operator": operator_name(gm, node),
        }
        meant = [names.get(kind)] if colon else names.values()
        return any(name is not None and fnmatch.fnmatchcase(name, pattern or self.match) for name in meant)

    def names_operator(self, operator: str) -> bool:
        """Whether the pattern is for all nodes of an operator."""
        kind, _, pattern = self.match.rpartition(":")
        return kind in ("", "operator") and fnmatch.fnmatchcase(operator, pattern)


@dataclass(frozen=True)
class QuantConfig:
    """How to quantize.

    Attributes:
        target: ``"x86"``, ``"x86-avx2"``, ``"arm"``, ``"cuda"``, or ``"auto"`` for the one that is fastest on this
            machine, which it becomes at once; see :mod:`fxpasses.quantization.numbers.targets`.
        observer: of activations: ``"histogram"``, ``"minmax"``, ``"moving_average"``, ``"percentile:99.99"``,
            ``"entropy"``; ``"sweep"`` for the best of them by the outputs on samples held out, which takes ten
            conversions; see :mod:`fxpasses.quantization.repairs.observer_sweep`.
        weight_search: ``"minmax"`` or ``"mse"``: how weight scales are chosen.
        weight_bits: 2 to 8. Below 8 weights have fewer levels, with the same int8 arithmetic; from 4 on ONNX files hold
            two to a byte. Layers with fewer than 64 weights to an output (depthwise, a first layer) keep 8 unless an
            override says otherwise. ``weight_search="mse"`` and ``rounding="learned"`` are for few bits.
        group_size: weights of 4 bits or fewer get a step for each group of about so many, and not one for a channel;
            see :mod:`fxpasses.quantization.numbers.weight_groups`. None: one for a channel.
        activation_bits: 8, or 16 (uint16, for ``"cuda"`` int16), for models that 8 bits cost too much, and for
            accelerators with such kernels (QNN, Ethos-U). CPUs have none: onnxruntime and torch compute in float32
            between the integers, at less than the speed of fp32, and agree to about one of the finer steps.
        rounding: of weights: ``"nearest"``, or ``"learned"`` from the calibration data, which takes minutes and is for
            few bits. It needs data, as equalization does; step by step :func:`fxpasses.learn_rounding` takes the place
            of :func:`fxpasses.convert`.
        equalization: rescale channels first, where that changes nothing in float, so that one scale suits all of a
            tensor's; see :mod:`fxpasses.quantization.repairs.equalization`. It needs data, so :func:`fxpasses.quantize`
            does it; who observes and calibrates step by step calls :func:`fxpasses.equalize` on the fused graph.
        smoothing: the alpha of :func:`fxpasses.smooth`, which comes before equalization: 0 to 1, or ``"auto"``; None
            for none of it. It needs data, as equalization does.
        pixel_grid: have the first convolution read images on the grid of their own pixels, where calibration data shows
            one; see :mod:`fxpasses.quantization.repairs.pixel_grid`. It needs data; step by step
            :func:`fxpasses.align_pixels`.
        narrow_ranges: where the rounding of a tensor is loud at the outputs and a narrower range halves that, take it;
            see :mod:`fxpasses.quantization.repairs.output_noise`. Only of ``observer="histogram"``; it needs data, step
            by step :func:`fxpasses.narrow_ranges` comes behind :func:`fxpasses.calibrate`.
        bias_correction: take what rounding a layer's weights adds to its outputs, on average over the calibration
            data, from its bias; see :mod:`fxpasses.quantization.int8.bias_correction`.
        reestimation: correct each layer's scale and bias by what rounding made of its outputs; see
            :mod:`fxpasses.quantization.repairs.reestimation`. It needs data; step by step :func:`fxpasses.reestimate`
            takes the place of :func:`fxpasses.convert`.
        float_results: linear layers that only float operators or the caller read give floats, not bytes: logits are not
            rounded, and nothing is dequantized at once; what is joined, moved or added for the caller alone is float.
            Integer-only accelerators want ``False``; so does ``exact``.
        exact: refuse (GraphError) a graph for which bit-equality of all engines cannot be shown.
        tie_free: nudge scales (by about 0.1 %) so that no sum can land on a rounding tie; this is what makes
            engines that round in different ways agree. See :mod:`fxpasses.quantization.numbers.tie_free`.
        overrides: of those that match a node and say something of a setting, the last wins; ``keep_float`` stands
            whatever the others say.

    Raises:
        InputError: an unknown target, observer or search; the nearest name is suggested.
    """

    target: str = AUTO_TARGET
    observer: str = "histogram"
    weight_search: str = "minmax"
    weight_bits: int = 8
    group_size: int | None = None
    activation_bits: int = 8
    rounding: str = "nearest"
    equalization: bool = True
    smoothing: float | str | None = None
    pixel_grid: bool = True
    narrow_ranges: bool = True
    bias_correction: bool = True
    reestimation: bool = False
    float_results: bool = True
    exact: bool = False
    tie_free: bool = True
    overrides: tuple[Override, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "target", resolved_target(self.target))  # written down as what it became
        find_target(self.target)
        parse_observer(self.observer)
        if self.weight_search not in ("minmax", "mse"):
            raise InputError(
                f"`weight_search={self.weight_search!r}`", why="there is no such search", fix="use 'minmax' or 'mse'"
            )
        check_weight_bits(self.weight_bits)
        self._check_group_size()
        if self.smoothing is not None:
            check_smoothing(self.smoothing)
        if self.rounding not in ("nearest", "learned"):
            raise InputError(
                f"`rounding={self.rounding!r}`", why="there is no such rounding", fix="use 'nearest' or 'learned'"
            )
        if self.reestimation and self.rounding == "learned":
            raise InputError(
                '`reestimation=True` with `rounding="learned"`',
                why="learned rounding chooses biases for the rounding it finds",
                fix="drop one of them",
            )
        check_activation_bits(self)
        if self.exact and not self.tie_free:
            raise InputError(
                "`exact=True` with `tie_free=False`", why="exact rests on tie-free scales", fix="drop one of them"
            )

    def _check_group_size(self) -> None:
        if self.group_size is None:
            return
        if self.group_size < SHORTEST:
            raise InputError(
                f"`group_size={self.group_size}`",
                why=f"a group has at least {SHORTEST} weights, or its step takes too much of what is saved",
                fix="use 16 or 32",
            )
        fewest = min([self.weight_bits, *(o.weight_bits for o in self.overrides if o.weight_bits)])
        if fewest > MOST_BITS:
            raise InputError(
                f"`group_size={self.group_size}` with `weight_bits={fewest}`",
                why=f"only weights of {MOST_BITS} bits or fewer come in groups",
                fix="leave it out, or use weight_bits=4",
            )

    @property
    def for_target(self) -> Target:
        return find_target(self.target)

    @property
    def activation_grid(self) -> IntType:
        """The integers an activation may be."""
        target = self.for_target
        if self.activation_bits == LARGEST_BITS:
            return target.activations
        return INT16_SYMMETRIC if target.symmetric_activations else UINT16

    @property
    def avoids_ties(self) -> bool:
        """Whether scales are settled: not where float is computed between the integers, as it is with 16 bits."""
        return self.tie_free and self.activation_bits == LARGEST_BITS

    @property
    def gives_floats(self) -> bool:
        """Whether layers may give floats: proofs are about integers, and with 16 bits they compute in float anyway."""
        return self.float_results and not self.exact and self.activation_bits == LARGEST_BITS

    def weight_grid(self, bits: int | None = None) -> IntType:
        """The integers a weight may be: the target's own at 8 bits, ``[-2**(b-1), 2**(b-1) - 1]`` below.

        Learned rounding chooses weights one by one: where pairs have to be safe, it keeps to a grid on which all are.
        """
        learned = self.rounding == "learned"
        grid, bits = self.for_target.free_weights if learned else self.for_target.weights, bits or self.weight_bits
        if bits == LARGEST_BITS or 1 << (bits - 1) > grid.high:
            return grid
        return IntType(grid.dtype, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)

    def pairs_matter(self, bits: int) -> bool:
        """Whether the grid of such weights has pairs that saturate 16 bits, which they then have to be kept from."""
        return self.for_target.pair_safe and self.weight_grid(bits).high > self.for_target.free_weights.high

    def weight_group(self, bits: int, row: int) -> tuple[int, int] | None:
        """Weights to a group and the largest multiple of its step, for rows of ``row`` weights; None: no groups."""
        if self.group_size is None or bits > MOST_BITS:
            return None
        return group_length(row, self.group_size), largest_multiple(
            self.for_target.free_weights, self.weight_grid(bits)
        )

    def weight_bits_of(self, gm: fx.GraphModule, node: fx.Node) -> int:
        """Bits of a layer's weights: an override's, else 8 for short rows, else ``weight_bits``."""
        spelled = [o.weight_bits for o in self.overrides if o.weight_bits and o.matches(gm, node)]
        if spelled:
            return spelled[-1]
        layer = module_of(gm, node, nn.Module)
        row = math.prod(layer.state_dict()["weight"].shape[1:])
        return self.weight_bits if row >= SHORT_ROW else LARGEST_BITS

    def keeps_operator_float(self, operator: str) -> bool:
        return any(o.keep_float and o.names_operator(operator) for o in self.overrides)

    def keeps_float(self, gm: fx.GraphModule, node: fx.Node) -> bool:
        return any(o.keep_float and o.matches(gm, node) for o in self.overrides)

    @property
    def sweeps(self) -> bool:
        """Whether some observer is still to be chosen."""
        return SWEEP in (self.observer, *(o.observer for o in self.overrides))

    def observer_of(self, gm: fx.GraphModule, node: fx.Node) -> ObserverSpec:
        spelled = [o.observer for o in self.overrides if o.observer and o.matches(gm, node)]
        return parse_observer(spelled[-1] if spelled else self.observer)
