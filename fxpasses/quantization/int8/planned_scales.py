"""Decide which nodes run in int8, and with which scales, once calibration has measured every range.

A plan made before calibration cannot know whether the parts of a joined tensor fit one grid. So the plan is made again
here, without the nodes found by :mod:`~fxpasses.quantization.int8.mixed_tensors`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from torch import fx, nn

from ...errors import GraphError
from ...graph.edit import module_of, operator_of
from ...graph.operators import Trait
from ...graph.pass_runner import copy_graph
from ..config import QuantConfig
from ..numbers.qparams import QParams, affine_qparams, symmetric_qparams
from ..ranges.known_ranges import narrowed, take_out_known
from ..ranges.observers import NothingObserved, Observer
from ..ranges.range_search import Range
from .bias_correction import MEANS, take_out_means
from .mixed_tensors import find_wiped_out, has_watched_parts, take_out_parts
from .observe import find_observers
from .pixel_qparams import pixel_qparams
from .plan import Plan, plan_quantization
from .scales import Scales


def why_float_once_calibrated(gm: fx.GraphModule, config: QuantConfig) -> dict[str, str]:
    """Nodes that were planned as int8 but stay float because of calibration results, with the reason."""
    if not has_watched_parts(gm):
        return {}
    gm = copy_graph(gm)
    measured = take_out_observers(gm, config)
    take_out_means(gm)
    powers = take_out_parts(gm)
    planned = plan_quantization(gm, config)
    plan, _ = plan_with_scales(gm, config, measured, powers)
    return {n.name: plan.why_float[n] for n in (*planned.int8, *planned.absorbed) if n in plan.why_float}


def plan_with_scales(
    gm: fx.GraphModule, config: QuantConfig, measured: Mapping[str, QParams], powers: Mapping[str, list[float]]
) -> tuple[Plan, Scales]:
    """The plan for known ranges, without nodes that would read parts lost on their common grid; and the scales."""
    plan = plan_quantization(gm, config)
    scales: Scales = {r: measured.get(r.name) or _known_qparams(gm, r, config) for r in plan.roots}
    wiped_out = find_wiped_out(gm, plan, powers, scales)
    if not wiped_out:
        return plan, scales
    plan = plan_quantization(gm, config, wiped_out)
    return plan, {r: scales.get(r) or measured.get(r.name) or _known_qparams(gm, r, config) for r in plan.roots}


def take_out_observers(gm: fx.GraphModule, config: QuantConfig) -> dict[str, QParams]:
    """Remove the observers; return parameters by the name of the observed tensor. The graph is FLOAT again.

    Tensors with a known range are among them, if data have passed: their range is narrowed to what they use.
    """
    observers = find_observers(gm)
    seen_in = {name: _seen(module_of(gm, node, Observer), config) for name, node in observers.items()}
    found = {name: qparams for name, qparams in seen_in.items() if qparams is not None}
    if len(found) < len(observers):
        unseen = [node for name, node in observers.items() if name not in found]
        raise _nothing_seen(unseen, all_of_them=not found)
    for node in observers.values():
        source = node.args[0]
        assert isinstance(source, fx.Node)
        node.replace_all_uses_with(source)
        gm.graph.erase_node(node)
    for root, seen in take_out_known(gm).items():
        operator = operator_of(gm, root)
        assert operator is not None and operator.fixed_range is not None
        found[root.name] = _qparams_of(narrowed(operator.fixed_range, seen), config)
    gm.delete_all_unused_submodules()
    return found


def _seen(observer: Observer, config: QuantConfig) -> QParams | None:
    """The parameters that an observer has found; None if no data has passed it."""
    with contextlib.suppress(NothingObserved):
        return observer.qparams(config.activation_grid, config.for_target.symmetric_activations)
    return None


def _nothing_seen(observers: list[fx.Node], *, all_of_them: bool) -> GraphError:
    """The error for tensors without data: nothing was calibrated, or they are empty for every batch."""
    source = observers[0].args[0]
    assert isinstance(source, fx.Node)
    fix = "fx.calibrate(graph, batches)"
    if not all_of_them:
        readers = dict.fromkeys(reader.name for node in observers for reader in _readers(node))
        kept = " and ".join(f'`overrides=[Override("node:{name}", keep_float=True)]`' for name in readers)
        fix += f" with batches that reach it, for which it is not empty; or keep what reads it float: {kept}"
    return GraphError.at_node(source, why="no data has passed its observer", fix=fix, step="convert")


def _readers(node: fx.Node) -> Iterator[fx.Node]:
    """Nodes that read a tensor, those behind observers of its mean too."""
    for reader in node.users:
        if str(reader.target).startswith(MEANS):
            yield from _readers(reader)
        else:
            yield reader


def _known_qparams(gm: fx.GraphModule, root: fx.Node, config: QuantConfig) -> QParams:
    """Parameters of a root without observer: fixed by its operator, its embedding table, or because it holds pixels."""
    if (of_pixels := pixel_qparams(root, config)) is not None:
        return of_pixels
    operator = operator_of(gm, root)
    assert operator is not None
    if operator.fixed_range is not None:
        low, high = operator.fixed_range
    elif Trait.LOOKS_UP not in operator.traits:
        raise GraphError.at_node(
            root,
            why="an int8 operator reads this tensor, but it has no observer: the config given to convert() makes that "
            "operator int8, the config given to observe() did not",
            fix="fx.observe(graph, config) and fx.convert(graph, config) with the same config",
            step="convert",
        )
    else:
        table = module_of(gm, root, nn.Embedding).weight.detach()
        low, high = float(table.min()), float(table.max())
    return _qparams_of((low, high), config)


def _qparams_of(ends: Range, config: QuantConfig) -> QParams:
    choose = symmetric_qparams if config.for_target.symmetric_activations else affine_qparams
    return choose(*ends, config.activation_grid)
