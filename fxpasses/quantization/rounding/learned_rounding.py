"""Learned rounding: choose each weight's integer by its effect on the outputs instead of the nearest integer.

With few bits, rounding to nearest is far from optimal: the errors of the weights of one row add up, and each weight may
be rounded up or down. Block by block, from the inputs on, the int8 block, which reads the outputs of the int8 blocks
before it, is fitted to the float block, which reads the outputs of the float blocks; this also corrects earlier errors.
First each layer's weights are rounded so that their errors cancel
(:mod:`fxpasses.quantization.rounding.compensated_rounding`); then, with fewer than 4 bits, the block is trained as a
whole. The result that is nearest to float on held-out samples is kept. A block lies between two tensors that all data
passes through, and has at least :data:`LAYERS` layers. Scales do not change, so proofs about them (no ties) still hold.

Sources: Nagel et al. 2020, "Up or Down? Adaptive Rounding for Post-Training Quantization", arXiv:2004.10568 (learn the
rounding, from the quantized input to the float output); Li et al. 2021, "BRECQ", arXiv:2102.05426 (block by block).
Instead of their annealed relaxation, weights change freely and are rounded with the straight-through estimator: it
comes nearer in the same time (docs/lab_notes.md).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx

from ...errors import InputError
from ...graph.cuts import cut_points, part
from ...graph.pass_runner import Change, PassLog, PassResult, Skip, pass_logs
from ...graph.shapes import shape_of
from ...graph.stages import Stage, check_stage, config_of
from ...signature.outputs import tensors_of
from ...signature.samples import is_fixed_batch
from ..config import QuantConfig
from ..int8.convert import converted
from ..int8.observe import without_observers
from ..ranges.calibration import checked_batches
from ..ranges.first_samples import first_samples
from ..repair_steps import ConversionStep
from ..repair_table import Phase, settings_off
from .compensated_layers import learned_from, round_layers
from .learned_integers import LearnedBias, LearnedWeight, Learner, float_name, take_over, trainable_twin

SAMPLES = 256
"""Number of calibration samples for learning; they and two tensors for each of them are held in memory."""
STEPS = 100
"""Number of Adam steps for each block of a model with weights of fewer than :data:`ENOUGH_BITS` bits."""
ENOUGH_BITS = 4
"""Number of bits from which training gains nothing over compensated rounding.
"""
LAYERS = 3
"""Fewest layers of a block, except for the last block."""
PIECE = 16
"""Number of samples run at a time without learning."""
BATCH = 32
VALUES = 1 << 22
"""Largest number of values of a block's largest tensor in a step; it sets the batch size."""
SMALLEST_BATCH = 4
RATE = 0.003
"""Initial learning rate of weights, in steps of their scale; it decays along a cosine."""
BIAS_RATE = 0.0005
"""Initial learning rate of biases, in units of a layer's root mean square bias."""


Tensors = Sequence[Tensor]


@dataclass(frozen=True)
class _Block:
    """One part of the graph, in float and with rounding.

    Attributes:
        name: name of the last tensor.
        exact: the part in float.
        integer: the part with rounding, trainable.
        learners: its parameters.
        batch: samples in a step.
    """

    name: str
    exact: fx.GraphModule
    integer: fx.GraphModule
    learners: list[LearnedWeight | LearnedBias]
    batch: int


def learn_rounding(
    gm: fx.GraphModule,
    batches: Iterable[Any],
    config: QuantConfig | None = None,
    *,
    steps: int | None = None,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> fx.GraphModule:
    """Convert, and learn how weights are rounded; used instead of :func:`fxpasses.convert`.

    Takes minutes; :func:`fxpasses.convert` takes seconds.

    Args:
        gm: an OBSERVED graph, calibrated. It is not changed.
        batches: calibration data, as :func:`fxpasses.calibrate` takes it; the first 256 samples are used.
        config: as for :func:`fxpasses.convert`.
        steps: number of training steps for each block. Default: 100 if weights have fewer than 4 bits, else none.
        seed: seed of the choice of samples for each step.
        progress: called after each step and after each block's compensation, with the block's name, the number of those
            done, and their total.

    Raises:
        GraphError, InputError: in the cases of :func:`fxpasses.convert` and :func:`fxpasses.calibrate`.
    """
    check_stage(gm, Stage.OBSERVED, "learn_rounding")
    config = replace(config or config_of(gm), **settings_off(Phase.CONVERSION) | {"rounding": "learned"})
    int8, exact = converted(gm, config), without_observers(gm)
    twin, learners = trainable_twin(int8, exact, config_of(int8))
    blocks = _blocks(exact, twin, learners)
    steps = _steps(learners) if steps is None else steps
    total = (steps + 1) * sum(bool(block.learners) for block in blocks)
    told = (lambda name, done: progress(name, done, total)) if progress is not None else _tell_nobody
    run = _Learning(steps, torch.Generator().manual_seed(seed), told)
    with torch.inference_mode(False), torch.enable_grad():
        float_in = int8_in = _first_samples(exact, batches)
        for block in blocks:
            float_in, int8_in = run.learn(block, float_in, int8_in)
    take_over(int8, learners)
    pass_logs(int8).append(PassLog("learn_rounding", run.result))
    return int8


STEP = ConversionStep(
    lambda gm, first, config, progress: learn_rounding(gm, first, config, progress=progress),
    SAMPLES,
    "learn rounding",
    parts=0,
    is_compared=True,
)


def _steps(learners: dict[str, Learner]) -> int:
    """Default number of training steps for these parameters."""
    grids = [m.module.grid for m in learners.values() if isinstance(m.module, LearnedWeight)]
    return STEPS if any(grid.high < (1 << (ENOUGH_BITS - 1)) - 1 for grid in grids) else 0


def _first_samples(gm: fx.GraphModule, batches: Iterable[Any]) -> Tensors:
    """The first samples as one tensor for each of the model's inputs."""
    kept, _ = first_samples(checked_batches(gm, batches), SAMPLES)
    if is_fixed_batch(gm) or len({tuple(x.shape[1:] for x in inputs) for inputs in kept}) > 1:
        raise InputError(
            "samples to learn rounding from",
            why="samples are joined along dimension 0, which is not the batch of every input here, or of another size",
            fix="QuantConfig(rounding='nearest'), or inputs of one size with the batch in front",
        )
    return [torch.cat([inputs[k] for inputs in kept])[:SAMPLES].clone() for k in range(len(kept[0]))]


def _blocks(exact: fx.GraphModule, twin: fx.GraphModule, learners: dict[str, Learner]) -> list[_Block]:
    """Split the graph into blocks that end at tensors of both graphs."""
    float_cuts = {n.name: n for n in cut_points(exact.graph)}
    cuts = [(c, float_cuts[name]) for c in cut_points(twin.graph) if (name := float_name(c)) in float_cuts]
    ends: list[tuple[Any, Any]] = [*cuts, (_result(twin), _result(exact))]
    begin, float_begin = _inputs(twin), _inputs(exact)
    found = []
    for end, float_end in ends:
        integer = part(twin, begin, end)
        mine = [learners[n.name].module for n in integer.graph.nodes if n.name in learners]
        if end is not ends[-1][0] and sum(isinstance(m, LearnedWeight) for m in mine) < LAYERS:
            continue
        name = float_end.name if isinstance(float_end, fx.Node) else "the outputs"
        found.append(_Block(name, part(exact, float_begin, float_end), integer, mine, _batch(integer)))
        begin, float_begin = [end], [float_end]
    return found


def _inputs(gm: fx.GraphModule) -> list[fx.Node]:
    return [n for n in gm.graph.nodes if n.op == "placeholder"]


def _result(gm: fx.GraphModule) -> Any:
    return next(n for n in gm.graph.nodes if n.op == "output").args[0]


def _batch(block: fx.GraphModule) -> int:
    sizes = [math.prod(shape[1:]) for n in block.graph.nodes if (shape := shape_of(n))]
    return max(SMALLEST_BATCH, min(BATCH, VALUES // max(sizes, default=1)))


def _tell_nobody(name: str, done: int) -> None:
    pass


@dataclass(frozen=True)
class _Try:
    """One way to round a block: its parameters, its outputs for all samples, and their error."""

    what: str
    states: list[dict[str, Any]]
    outputs: Tensors
    error: float

    @classmethod
    def of(cls, what: str, block: _Block, inputs: Tensors, wanted: Tensors) -> _Try:
        outputs = _outputs(block.integer, inputs)
        states = [copy.deepcopy(m.state_dict()) for m in block.learners]
        held_out = slice(learned_from(len(wanted[0])) % len(wanted[0]), None)
        error = _error([y[held_out] for y in outputs], [y[held_out] for y in wanted], _power(wanted))
        return cls(what, states, outputs, float(error))


class _Learning:
    def __init__(self, steps: int, generator: torch.Generator, told: Callable[[str, int], None]) -> None:
        self.steps, self.generator, self.told = steps, generator, told
        self.result, self.done = PassResult(), 0

    def learn(self, block: _Block, float_in: Tensors, int8_in: Tensors) -> tuple[Tensors, Tensors]:
        """Round one block; return its outputs for all samples in float and in int8, the inputs of the next block."""
        wanted = _outputs(block.exact, float_in)
        tried = [_Try.of("rounded to nearest", block, int8_in, wanted)]
        if not block.learners:
            return wanted, tried[0].outputs
        round_layers(block.exact, block.integer, float_in, int8_in, self.generator)
        self._did(block)
        tried.append(_Try.of("compensated", block, int8_in, wanted))
        if self.steps:
            self._train(block, int8_in, wanted)
            tried.append(_Try.of("trained", block, int8_in, wanted))
        best = min(tried, key=lambda t: t.error)
        for module, state in zip(block.learners, best.states, strict=True):
            module.load_state_dict(state)
        self._note(block, tried, best)
        return wanted, best.outputs

    def _note(self, block: _Block, tried: list[_Try], best: _Try) -> None:
        figures = ", ".join(f"{t.what} {_decibel(t.error)} dB" for t in tried)
        if best is tried[0]:
            self.result.skipped.append(Skip(block.name, f"nothing comes nearer than rounding to nearest: {figures}"))
        else:
            self.result.changed.append(Change(block.name, f"{best.what}; SQNR {figures}"))

    def _train(self, block: _Block, inputs: Tensors, wanted: Tensors) -> None:
        weights = [m.steps for m in block.learners if isinstance(m, LearnedWeight)]
        biases = [m.moved for m in block.learners if isinstance(m, LearnedBias)]
        adam = torch.optim.Adam([{"params": weights, "lr": RATE}, {"params": biases, "lr": BIAS_RATE}])
        fade = torch.optim.lr_scheduler.CosineAnnealingLR(adam, self.steps)
        power, samples = _power(wanted), learned_from(len(wanted[0]))
        for _ in range(self.steps):
            chosen = torch.randint(samples, (min(block.batch, samples),), generator=self.generator)
            outputs = _tensors(block.integer(*(x[chosen] for x in inputs)))
            adam.zero_grad()
            _error(outputs, [y[chosen] for y in wanted], power).backward()
            adam.step()
            fade.step()
            self._did(block)

    def _did(self, block: _Block) -> None:
        self.done += 1
        self.told(block.name, self.done)


def _outputs(block: fx.GraphModule, inputs: Tensors) -> Tensors:
    """Outputs of a block for all samples."""
    with torch.no_grad():
        pieces = zip(*(x.split(PIECE) for x in inputs), strict=True)
        made = [_tensors(block(*piece)) for piece in pieces]
    return [torch.cat(parts) for parts in zip(*made, strict=True)]


def _tensors(result: Any) -> Tensors:
    """The float tensors of an output with any structure."""
    return [x for x in tensors_of(result) if x.is_floating_point()]


def _power(tensors: Tensors) -> list[float]:
    return [max(float(y.square().mean()), 1e-30) for y in tensors]


def _error(outputs: Tensors, wanted: Tensors, power: list[float]) -> Tensor:
    """Mean square error relative to the power of the wanted tensors, summed over tensors."""
    errors = [(y - w).square().mean() / p for y, w, p in zip(outputs, wanted, power, strict=True)]
    return torch.stack(errors).sum()


def _decibel(error: float) -> str:
    return f"{-10 * math.log10(max(error, 1e-30)):.1f}"
