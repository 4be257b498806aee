"""FLOAT -> TRAINING: equalize, observe and calibrate, then replace observers and layers by fake quantization.

At the start the graph computes the float graph, rounded: ranges and weight steps have the least square error on the
calibration data. See docs/training.md for BatchNorm and for fewer than 8 bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from torch import fx

from ...graph.edit import module_of
from ...graph.pass_runner import PassLog, PassResult, copy_graph, pass_logs, run_passes
from ...graph.stages import Stage, check_stage, set_stage
from ...passes.fusion import fuse
from ...quantization.config import Override, QuantConfig
from ...quantization.int8.float32_layers import require_float32
from ...quantization.int8.mixed_tensors import take_out_parts
from ...quantization.int8.observe import find_observers
from ...quantization.int8.plan import plan_quantization
from ...quantization.int8.planned_scales import why_float_once_calibrated
from ...quantization.int8.rewrites import lowering
from ...quantization.numbers.qparams import IntType
from ...quantization.ranges.calibration import checked_batches
from ...quantization.ranges.first_samples import first_samples
from ...quantization.ranges.known_ranges import take_out_known
from ...quantization.ranges.observers import Observer
from ...quantization.recipe import calibrated_graph
from ...quantization.repair_table import Phase, settings_off
from ...signature.samples import count_samples, first_of, pieces_of
from ..config import TrainingConfig
from ..distributed import samples_of_all
from ..layer_bits import LayerBits, bits_of_layers
from ..training_facts import TrainingFacts, set_facts
from .fake_quantize import ActivationQuantizer
from .layer_placing import put_layers, row_lengths
from .narrow_reads import drop_bounds, narrow_grid, put_narrow_reads

SAMPLES = 256
"""Number of calibration samples for the initial ranges and BatchNorm statistics."""
KEPT = 16
"""Number of calibration samples that are kept, to compare integers on."""
PIECE = 32


def prepare_training(
    gm: fx.GraphModule, batches: Iterable[Any], config: TrainingConfig | None = None
) -> fx.GraphModule:
    """Make a graph that trains as any module does, and that :func:`fxpasses.convert_trained` converts to int8.

    Args:
        gm: a FLOAT graph, captured or fused. It is not changed.
        batches: calibration data, as for :func:`fxpasses.calibrate`; the first 256 samples are used.
        config: defaults to 8 bits throughout.

    Returns:
        A TRAINING graph in training mode. ``train()``, ``eval()``, ``state_dict()`` and optimizers work as usual.

    Raises:
        GraphError: the graph is not FLOAT (an int8 graph cannot be trained), or not float32.
        InputError: see :func:`fxpasses.calibrate`.
    """
    config = config or TrainingConfig()
    check_stage(gm, Stage.FLOAT, "prepare_training")
    require_float32(gm, "prepare_training")
    lengths = row_lengths(gm)
    samples = _samples(gm, batches)
    observed, facts = _observed(fuse(gm), samples, config)
    training, result = copy_graph(observed), PassResult()
    take_out_parts(training)
    take_out_known(training)  # the whole range, which stays right while weights change
    put_layers(training, observed, facts, samples, lengths, result)
    _put_quantizers(training, facts, result)
    drop_bounds(training, facts.narrow)
    set_facts(training, facts)
    pass_logs(training).append(PassLog("prepare_training", result))
    set_stage(training, Stage.TRAINING)
    training.graph.lint()
    training.recompile()
    return training.train()


def _samples(gm: fx.GraphModule, batches: Iterable[Any]) -> list[tuple[Any, ...]]:
    """The first samples in pieces. Whole batches of all processes are put in order first: pieces would be mixed."""
    found: list[tuple[Any, ...]] = []
    seen = 0
    for batch in samples_of_all(first_samples(checked_batches(gm, batches), SAMPLES)[0]):
        if seen >= SAMPLES:
            break
        taken = first_of(gm, batch, SAMPLES - seen)
        seen += count_samples(gm, taken)
        found += pieces_of(gm, taken, PIECE)
    return found


def _observed(
    graph: fx.GraphModule, samples: list[tuple[Any, ...]], config: TrainingConfig
) -> tuple[fx.GraphModule, TrainingFacts]:
    """Lower the graph, insert bounds for inputs of fewer bits, and calibrate it; return it with its facts."""
    made = _calibrated(graph, samples, config, ())
    wiped_out = why_float_once_calibrated(made.observed, made.quant)
    if wiped_out:  # one grid would lose some parts: plan once more, with their readers in float
        kept_float = tuple(Override(f"node:{name}", keep_float=True) for name in wiped_out if name in made.nodes)
        made = _calibrated(graph, samples, config, kept_float)
    grids = _narrow_grids(made.observed, made.narrow, made.quant)
    kept = first_of(graph, samples[0], KEPT)
    return made.observed, TrainingFacts(config, made.quant, made.bits, grids, kept)


@dataclass(frozen=True)
class _Calibrated:
    """A calibrated graph; ``nodes`` are the names of the lowered graph, before bounds were inserted."""

    observed: fx.GraphModule
    quant: QuantConfig
    bits: dict[str, LayerBits]
    narrow: dict[str, int]
    nodes: frozenset[str]


def _calibrated(
    graph: fx.GraphModule, samples: list[tuple[Any, ...]], config: TrainingConfig, kept_float: tuple[Override, ...]
) -> _Calibrated:
    """Run the first half of the recipe, with each layer's own bits."""
    found: dict[str, Any] = {}

    def with_bits(equalized: fx.GraphModule) -> tuple[fx.GraphModule, QuantConfig]:
        lowered = copy_graph(run_passes(equalized, lowering(config.observing())))
        nodes = frozenset(node.name for node in lowered.graph.nodes)
        bits = bits_of_layers(lowered, plan_quantization(lowered, config.observing(kept_float)), config)
        narrow = put_narrow_reads(lowered, bits)
        spelled = [Override(f"node:{name}", weight_bits=one.weight) for name, one in bits.items()]
        quant = config.observing((*spelled, *kept_float))
        found.update(bits=bits, narrow=narrow, nodes=nodes)
        # a bound stands at the end of a range: no other end is searched for there
        return lowered, replace(quant, **settings_off(Phase.RANGES)) if narrow else quant

    made = calibrated_graph(graph, samples, config.quant, rewrite=with_bits, samples=SAMPLES)
    return _Calibrated(made.graph, made.config, **found)


def _narrow_grids(observed: fx.GraphModule, narrow: dict[str, int], quant: QuantConfig) -> dict[str, IntType]:
    symmetric, nodes = quant.for_target.symmetric_activations, find_observers(observed)
    found = {}
    for name, width in narrow.items():
        has_negative = module_of(observed, nodes[name], Observer).extremes[0] < 0
        found[name] = narrow_grid(width, quant.activation_grid, symmetric=symmetric, has_negative=has_negative)
    return found


def _put_quantizers(gm: fx.GraphModule, facts: TrainingFacts, result: PassResult) -> None:
    symmetric = facts.quant.for_target.symmetric_activations
    for name, node in find_observers(gm).items():
        grid = facts.narrow.get(name, facts.quant.activation_grid)
        start = module_of(gm, node, Observer).qparams(grid, symmetric)
        learned = facts.config.ranges == "learned"
        gm.set_submodule(str(node.target), ActivationQuantizer(start, symmetric=symmetric, learned=learned))
        result.change(node.all_input_nodes[0], f"on {grid.levels + 1} levels in training")
