"""The settings of a quantization, checked when they are made."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass

from torch import fx

from ..errors import InputError
from ..graph_edit import operator_name
from .observer_spec import ObserverSpec, parse_observer
from .targets import Target, find_target


@dataclass(frozen=True)
class Override:
    """Other settings for the nodes a pattern matches.

    Attributes:
        match: a node's name, its module's path, or its operator, with shell wildcards: ``"layer1.*"``, ``"linear"``;
            ``"node:add"``, ``"layer:fc"`` and ``"operator:add"`` mean only one of them.
        keep_float: leave these nodes in float.
        observer: observe their output with this instead.
    """

    match: str
    keep_float: bool = False
    observer: str | None = None

    def __post_init__(self) -> None:
        if not self.keep_float and self.observer is None:
            raise InputError(
                f"override {self.match!r}", why="it changes nothing", fix="give it keep_float=True or an observer"
            )
        if self.observer is not None:
            parse_observer(self.observer)

    def matches(self, gm: fx.GraphModule, node: fx.Node) -> bool:
        kind, colon, pattern = self.match.partition(":")
        names = {
            "node": node.name,
            "layer": str(node.target) if node.op == "call_module" else None,
            "operator": operator_name(gm, node),
        }
        meant = [names.get(kind)] if colon else names.values()
        return any(name is not None and fnmatch.fnmatchcase(name, pattern or self.match) for name in meant)


@dataclass(frozen=True)
class QuantConfig:
    """How to quantize.

    Attributes:
        target: ``"x86"``, ``"x86-avx2"``, ``"arm"`` or ``"cuda"``; see :mod:`fxpasses.quantization.targets`.
        observer: of activations: ``"histogram"``, ``"minmax"``, ``"moving_average"``, ``"percentile:99.99"``,
            ``"entropy"``.
        weight_search: ``"minmax"`` or ``"mse"``: how weight scales are chosen.
        equalization: rescale channels first, where that changes nothing in float, so that one scale suits all of a
            tensor's; see :mod:`fxpasses.quantization.equalization`. It needs data, so :func:`fxpasses.quantize` does
            it; who observes and calibrates step by step calls :func:`fxpasses.equalize` on the fused graph.
        bias_correction: take what rounding a layer's weights adds to its outputs, on average over the calibration
            data, from its bias; see :mod:`fxpasses.quantization.observer_means`.
        exact: refuse (GraphError) a graph for which bit-equality of all engines cannot be shown.
        tie_free: nudge scales (by about 0.1 %) so that no sum can land on a rounding tie; this is what makes
            engines that round in different ways agree. See :mod:`fxpasses.quantization.tie_free`.
        overrides: the last one that matches a node wins.

    Raises:
        InputError: an unknown target, observer or search; the nearest name is suggested.
    """

    target: str = "x86"
    observer: str = "histogram"
    weight_search: str = "minmax"
    equalization: bool = True
    bias_correction: bool = True
    exact: bool = False
    tie_free: bool = True
    overrides: tuple[Override, ...] = ()

    def __post_init__(self) -> None:
        find_target(self.target)
        parse_observer(self.observer)
        if self.weight_search not in ("minmax", "mse"):
            raise InputError(
                f"weight_search {self.weight_search!r}", why="there is no such search", fix="use 'minmax' or 'mse'"
            )
        if self.exact and not self.tie_free:
            raise InputError("exact=True, tie_free=False", why="exact rests on tie-free scales", fix="drop one of them")

    @property
    def for_target(self) -> Target:
        return find_target(self.target)

    def keeps_float(self, gm: fx.GraphModule, node: fx.Node) -> bool:
        return any(o.keep_float and o.matches(gm, node) for o in self.overrides)

    def observer_of(self, gm: fx.GraphModule, node: fx.Node) -> ObserverSpec:
        spelled = [o.observer for o in self.overrides if o.observer and o.matches(gm, node)]
        return parse_observer(spelled[-1] if spelled else self.observer)
