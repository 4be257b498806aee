"""The settings of a quantization; wrong values raise an error when the settings are created."""

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
from .repair_table import REPAIRS, Phase, RepairSettings, repairs_on

SMALLEST_BITS, LARGEST_BITS = 2, 8
SHORT_ROW = 64
"""Shortest row of weights (weights of one output channel) that gets fewer than 8 bits by default.

Shorter rows (depthwise layers 9, a first layer 27, narrow 1x1 layers 16 to 48) keep 8 bits. With so few weights the
rounding errors of a row do not average out, and such layers hold a small part of all weights.
"""


def check_weight_bits(bits: int) -> None:
    """Raise :class:`InputError` if weights of int8 layers cannot have this number of bits."""
    if not SMALLEST_BITS <= bits <= LARGEST_BITS:
        raise InputError(
            f"`weight_bits={bits}`",
            why=f"weights of int8 layers have {SMALLEST_BITS} to {LARGEST_BITS} bits",
            fix="use 8 for speed alone, 4 for smaller files",
        )


def check_activation_bits(config: QuantConfig) -> None:
    """Raise :class:`InputError` for unknown activation bits, or if another setting works with 8 bits only."""
    bits = config.activation_bits
    if bits not in (LARGEST_BITS, 16):
        raise InputError(f"`activation_bits={bits}`", why="activations have 8 or 16 bits", fix="use 8 for speed")
    alien = {"`exact=True`": config.exact, '`rounding="learned"`': config.rounding == "learned"}
    refused = [name for name, is_asked in alien.items() if is_asked] if bits != LARGEST_BITS else []
    if refused:
        raise InputError(
            f"`activation_bits={bits}` with {' and '.join(refused)}",
            why="no CPU sums 16-bit products as integers, and sums in float are not exact",
            fix="drop one of them",
        )


@dataclass(frozen=True)
class Override:
    """Other settings for the nodes a pattern matches.

    Attributes:
        match: a node's name, its module's path, or its operator, with shell wildcards: ``"layer1.*"``, ``"linear"``;
            ``"node:add"``, ``"layer:fc"`` and ``"operator:add"`` mean only one of them.
        keep_float: leave the matched nodes in float.
        observer: observer for the outputs of the matched nodes.
        weight_bits: number of bits for the weights of the matched nodes.
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
        """Whether the pattern matches all nodes of an operator."""
        kind, _, pattern = self.match.rpartition(":")
        return kind in ("", "operator") and fnmatch.fnmatchcase(operator, pattern)


@dataclass(frozen=True)
class IntegerSettings:
    """Settings of the integers: their types, and how ranges and scales are chosen.

    Attributes:
        target: ``"x86"``, ``"x86-avx2"``, ``"arm"``, ``"cuda"``, or ``"auto"``. ``"auto"`` is replaced at once by the
            target that is fastest on this machine; see :mod:`fxpasses.quantization.numbers.targets`.
        observer: observer for activations: ``"histogram"``, ``"minmax"``, ``"moving_average"``,
            ``"percentile:99.99"``, ``"entropy"``, or ``"sweep"``. ``"sweep"`` converts the graph ten times and takes
            the observer with the best outputs on held-out samples; see
            :mod:`fxpasses.quantization.repairs.observer_sweep`.
        weight_search: how weight scales are chosen: ``"minmax"`` or ``"mse"``.
        weight_bits: 2 to 8. Below 8 weights have fewer levels, with the same int8 arithmetic; with at most 4 bits an
            ONNX file holds two weights in a byte. Layers with fewer than 64 weights per output channel (depthwise,
            first layer) keep 8 bits unless an override sets their number. Few bits are best used with
            ``weight_search="mse"`` or ``rounding="learned"``.
        group_size: weights of at most 4 bits get a scale for each group of about this many weights; see
            :mod:`fxpasses.quantization.numbers.weight_groups`. None: one scale per channel.
        activation_bits: 8, or 16 (uint16; int16 for ``"cuda"``) for models that lose too much accuracy with 8, and
            for accelerators with such kernels (QNN, Ethos-U). CPUs have none: onnxruntime and torch compute in float32
            between the integers, slower than fp32, and their results may differ by about one (finer) step.
    """

    target: str = AUTO_TARGET
    observer: str = "histogram"
    weight_search: str = "minmax"
    weight_bits: int = 8
    group_size: int | None = None
    activation_bits: int = 8


@dataclass(frozen=True)
class QuantConfig(RepairSettings, IntegerSettings):
    """Settings of a quantization: those of :class:`IntegerSettings`, one for each repair, and these.

    The settings of repairs are described at :class:`~fxpasses.quantization.repair_table.RepairSettings`, and are given
    by name.

    Attributes:
        exact: refuse (GraphError) a graph for which bit-equality of all engines cannot be proved.
        tie_free: change scales (by about 0.1 %) so that no sum can land on a rounding tie. Engines that round
            differently then agree. See :mod:`fxpasses.quantization.numbers.tie_free`.
        overrides: exceptions for some nodes. If several match a node and set the same setting, the last wins;
            ``keep_float`` always wins.

    Raises:
        InputError: an unknown target, observer or search; the nearest name is suggested.
    """

    exact: bool = False
    tie_free: bool = True
    overrides: tuple[Override, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "target", resolved_target(self.target))  # store the resolved target, not "auto"
        find_target(self.target)
        parse_observer(self.observer)
        if self.weight_search not in ("minmax", "mse"):
            raise InputError(
                f"`weight_search={self.weight_search!r}`", why="there is no such search", fix="use 'minmax' or 'mse'"
            )
        check_weight_bits(self.weight_bits)
        self._check_group_size()
        for setting, repair in REPAIRS.items():
            repair.check(getattr(self, setting))
        conversions = repairs_on(self, Phase.CONVERSION)
        if len(conversions) > 1:
            raise InputError(
                " with ".join(f"`{setting}={getattr(self, setting)!r}`" for setting in conversions),
                why="each converts in its own way: learned rounding chooses biases for the rounding it finds",
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
                why=f"a group has at least {SHORTEST} weights; with fewer, steps take most of the saved space",
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
        """The integer type and range of an activation."""
        target = self.for_target
        if self.activation_bits == LARGEST_BITS:
            return target.activations
        return INT16_SYMMETRIC if target.symmetric_activations else UINT16

    @property
    def avoids_ties(self) -> bool:
        """Whether scales are made tie-free; not with 16-bit activations, whose results are computed in float."""
        return self.tie_free and self.activation_bits == LARGEST_BITS

    @property
    def gives_floats(self) -> bool:
        """Whether layers may give floats; not if ``exact`` (proofs need integers), nor with 16-bit activations."""
        return self.float_results and not self.exact and self.activation_bits == LARGEST_BITS

    @property
    def can_align_pixels(self) -> bool:
        """Whether activations have 256 levels with any zero_point, and weights have 8 bits.

        Never with ``exact``: its proof assumes that inputs are divided once.
        """
        fits = not self.for_target.symmetric_activations and self.activation_bits == LARGEST_BITS
        return fits and self.weight_bits == LARGEST_BITS and not self.exact

    def weight_grid(self, bits: int | None = None) -> IntType:
        """The integer range of a weight: the target's own at 8 bits, ``[-2**(b-1), 2**(b-1) - 1]`` below.

        Learned rounding chooses weights one by one. If sums of two products may saturate 16 bits, it uses a smaller
        range in which no pair can.
        """
        learned = self.rounding == "learned"
        grid, bits = self.for_target.free_weights if learned else self.for_target.weights, bits or self.weight_bits
        if bits == LARGEST_BITS or 1 << (bits - 1) > grid.high:
            return grid
        return IntType(grid.dtype, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)

    def pairs_matter(self, bits: int) -> bool:
        """Whether pairs of such weights can saturate 16-bit sums, so that their rounding has to prevent this."""
        return self.for_target.pair_safe and self.weight_grid(bits).high > self.for_target.free_weights.high

    def weight_group(self, bits: int, row: int) -> tuple[int, int] | None:
        """Weights in a group and the largest multiple of its step, for rows of ``row`` weights; None: no groups."""
        if self.group_size is None or bits > MOST_BITS:
            return None
        return group_length(row, self.group_size), largest_multiple(
            self.for_target.free_weights, self.weight_grid(bits)
        )

    def weight_bits_of(self, gm: fx.GraphModule, node: fx.Node) -> int:
        """Bits of a layer's weights: from the last matching override, else 8 for short rows, else ``weight_bits``."""
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
        """Whether the observer sweep still has to choose an observer."""
        return SWEEP in (self.observer, *(o.observer for o in self.overrides))

    def observer_of(self, gm: fx.GraphModule, node: fx.Node) -> ObserverSpec:
        spelled = [o.observer for o in self.overrides if o.observer and o.matches(gm, node)]
        return parse_observer(spelled[-1] if spelled else self.observer)
