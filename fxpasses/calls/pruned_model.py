"""Prune a model in one call: capture, score channels, choose as many as a budget asks for, shrink, and fuse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from fxpasses.capturing.attempts import capture
from fxpasses.errors import InputError
from fxpasses.graph.stages import Stage, stage_of
from fxpasses.passes.fusion import fuse
from fxpasses.pruning.channels.budget import Budget
from fxpasses.pruning.channels.by_criterion import ChannelChoice, criterion_scores
from fxpasses.pruning.channels.channel_plan import Removal
from fxpasses.pruning.channels.compensation import compensate
from fxpasses.pruning.channels.cost import Cost, cost_of
from fxpasses.pruning.channels.kernel_multiples import channel_multiple, in_largest_multiples
from fxpasses.pruning.channels.shrinking import shrink
from fxpasses.pruning.dependencies.groups import Dependencies, find_dependencies
from fxpasses.pruning.masks.data_criteria import Loss, ScoringData
from fxpasses.pruning.masks.selection import Scope
from fxpasses.quantization.ranges.calibration import checked_batches
from fxpasses.quantization.ranges.first_samples import first_samples
from fxpasses.reports.numbers import count_text
from fxpasses.signature.samples import count_samples

SAMPLES = 512
"""Largest number of inputs from which dependencies between channels are measured; more inputs change little."""


@dataclass(frozen=True, repr=False)
class PrunedModel:
    """A smaller model, and its sizes before and after pruning.

    Attributes:
        graph: the pruned model, FLOAT and fused; it takes what the model took, and :func:`fxpasses.quantize` takes it.
        dense: parameters, bytes and multiply-accumulates before.
        pruned: the same after.
        channels: for each layer that lost channels, how many it keeps and how many it had.
        kept_whole: for each layer that keeps all its channels because something needs them, what that is.
        compensated_layers: how many layers were adjusted to make up for what their inputs lost.
    """

    graph: fx.GraphModule
    dense: Cost
    pruned: Cost
    channels: dict[str, tuple[int, int]]
    kept_whole: dict[str, str] = field(default_factory=dict)
    compensated_layers: int = 0

    def __call__(self, *inputs: Any) -> Any:
        return self.graph(*inputs)

    def __repr__(self) -> str:
        """``PrunedModel(MACs 1.20 M -> 598 k, parameters 57.3 k -> 28.1 k, channels removed from 3 layers)``."""
        macs = f"MACs {count_text(self.dense.macs)} -> {count_text(self.pruned.macs)}"
        parameters = f"parameters {count_text(self.dense.params)} -> {count_text(self.pruned.params)}"
        layers = "1 layer" if len(self.channels) == 1 else f"{len(self.channels)} layers"
        return f"PrunedModel({macs}, {parameters}, channels removed from {layers})"

    def to_json(self) -> dict[str, Any]:
        """Everything but the graph, ready for JSON."""
        return {
            "dense": asdict(self.dense),
            "pruned": asdict(self.pruned),
            "channels": {path: {"kept": kept, "of": of} for path, (kept, of) in self.channels.items()},
            "kept_whole": self.kept_whole,
            "compensated_layers": self.compensated_layers,
        }


def prune(
    model: nn.Module,
    example_inputs: Tensor | tuple[Any, ...] | Mapping[str, Any],
    budget: str | float | Budget,
    batches: Iterable[Any] | None = None,
    *,
    criterion: str = "l1",
    scope: Scope = "layer",
    layers: Sequence[str] | str | None = None,
    keep_joined: bool = False,
    loss: Loss | None = None,
) -> PrunedModel:
    """Remove channels from a model, which stays as it was; what ``fxpasses prune`` does before it trains.

    Args:
        model: in eval mode.
        example_inputs: as for :func:`fxpasses.capture`.
        budget: ``"macs=0.5"``, ``"params=0.5"`` or ``"bytes=0.5"``, the share that may be left; or a number, the share
            of each layer's channels to remove.
        batches: some hundred inputs, of which at most 512 are looked at. With them the layers that are left are
            adjusted to make up for what is gone. Labels, as a DataLoader yields them, are needed for the criteria
            ``taylor`` and ``movement`` only.
        criterion: how channels are scored, a name of ``fxpasses.pruning.CRITERIA``.
        scope: ``"layer"`` takes the same share of every layer, ``"global"`` the lowest scores wherever they are.
        layers: only layers that these wildcards match.
        keep_joined: keep the channels that several layers make together, as those of residual streams.
        loss: ``(outputs, labels) -> loss``, whose gradients ``taylor`` and ``movement`` take, for tasks other than
            classes; without it, the cross-entropy of logits.

    Raises:
        GraphError: the model cannot be captured.
        InputError: the budget cannot be met or removes nothing, or the criterion needs batches and there are none.
    """
    graph = model if stage_of(model) is Stage.FLOAT else capture(model, example_inputs)
    assert isinstance(graph, fx.GraphModule)
    data = None if batches is None else first_samples(batches, SAMPLES)[0]
    dependencies = find_dependencies(graph)
    scores = criterion_scores(
        dependencies,
        criterion,
        lambda: _inputs(graph, _required(data, criterion)),
        lambda: _scoring_data([_labelled(graph, each, criterion) for each in _required(data, criterion)], loss),
    )
    removal = _chosen(dependencies, budget, scores, ChannelChoice(criterion, layers, scope, keep_joined))
    small = shrink(removal)
    adjusted = 0 if data is None else compensate(removal, small, _inputs(graph, data))
    kept = {path: (int(flags.sum()), len(flags)) for path, flags in removal.channels().items()}
    whole = {path: str(reason) for path, reason in dependencies.frozen.items() if path not in kept}
    return PrunedModel(fuse(small), cost_of(removal.none()), cost_of(removal), kept, whole, adjusted)


def _chosen(
    dependencies: Dependencies, budget: str | float | Budget, scores: dict[str, Tensor], choice: ChannelChoice
) -> Removal:
    """The channels to remove, in the largest multiples in which any can go."""
    wanted = Budget.parse(budget) if isinstance(budget, str) else budget

    def choose(multiple: int) -> Removal:
        if isinstance(wanted, Budget):
            return choice.within(dependencies, wanted, scores, multiple).removal
        return choice.ratio(dependencies, wanted, scores, multiple)

    removal, _ = in_largest_multiples(channel_multiple(), choose, lambda found: bool(len(found.classes)))
    if not len(removal.classes):
        raise InputError(
            f"budget {budget} removes no channel",
            why="no layer has so many channels that a whole one can go",
            fix="remove more, or let more layers be pruned",
        )
    return removal


def _scoring_data(batches: list[tuple[Any, Any]], loss: Loss | None) -> ScoringData:
    return ScoringData(batches) if loss is None else ScoringData(batches, loss)


def _labelled(graph: fx.GraphModule, batch: Any, criterion: str) -> tuple[Any, Tensor]:
    """Inputs and labels of a batch; zeros for the criterion that looks at no labels."""
    (inputs,) = _inputs(graph, [batch])
    given = inputs[0] if len(inputs) == 1 else inputs
    if criterion == "activation":
        return given, torch.zeros(count_samples(graph, inputs), dtype=torch.long)
    labels = batch[-1] if isinstance(batch, (tuple, list)) and len(batch) > 1 else None
    if not isinstance(labels, Tensor):
        raise InputError(
            f"criterion {criterion!r} got batches without labels",
            why="it takes gradients of the loss, which labels define",
            fix="pass a DataLoader of (images, labels), or use criterion='l1' or 'activation'",
        )
    return given, labels


def _inputs(graph: fx.GraphModule, batches: list[Any]) -> list[tuple[Any, ...]]:
    return list(checked_batches(graph, batches))


def _required(data: list[Any] | None, criterion: str) -> list[Any]:
    if data is None:
        raise InputError(
            f"criterion {criterion!r} without data",
            why="it scores channels by what they do to images",
            fix="pass batches=loader, or use criterion='l1'",
        )
    return data
