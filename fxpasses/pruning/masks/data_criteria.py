"""Scores from data: gradients of a loss (Taylor, movement) and activations. The graph is run, never changed.

Movement pruning accumulates ``-w g`` while a model is fine-tuned; here it is the same sum at fixed weights, which is
its first step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from ...errors import InputError
from ...graph.edit import only_reader, operator_of
from ...graph.operators import Trait
from ...graph.pass_runner import copy_graph
from ...signature.label_check import require_classes
from .criteria import Granularity
from .layers import LAYERS, Layer, by_output

Loss = Callable[[Any, Tensor], Tensor]


def _cross_entropy(logits: Any, labels: Tensor) -> Tensor:
    fits = isinstance(logits, Tensor) and logits.dim() > 1 and labels.shape == logits[:, 0].shape
    if not fits or labels.is_floating_point():
        found = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(
            f"no cross-entropy of outputs {found} and labels {labels.dtype} {list(labels.shape)}",
            why="it takes logits [B, classes, ...] and whole numbers [B, ...]",
            fix="pass the loss of the task: fx.prune(..., loss=lambda outputs, labels: ...)",
        )
    require_classes(labels, logits.shape[1], "the data")
    return F.cross_entropy(logits, labels)


@dataclass(frozen=True)
class ScoringData:
    """Data for criteria: ``(inputs, labels)`` batches that can be iterated again, and the loss of an output.

    The loss defaults to cross entropy. ``activation`` does not use labels.
    """

    batches: Iterable[tuple[Any, Tensor]]
    loss: Loss = _cross_entropy


def scores_from_data(
    gm: fx.GraphModule, layers: Mapping[str, Layer], criterion: str, granularity: Granularity, data: ScoringData
) -> dict[str, Tensor]:
    """Scores for each layer by ``taylor``, ``movement`` or ``activation``.

    Raises:
        InputError: there is not one batch, or the loss or a gradient is not finite.
    """
    scores = (
        _mean_activations(gm, layers, data)
        if criterion == "activation"
        else _from_gradients(gm, layers, criterion, granularity, data)
    )
    if not scores:
        raise InputError(f"criterion {criterion!r}", why="the data has not one batch", fix="give at least one")
    if not all(bool(s.isfinite().all()) for s in scores.values()):
        raise InputError(f"criterion {criterion!r}", why="a score is not finite", fix="look for NaN in the data")
    return scores


def _from_gradients(
    gm: fx.GraphModule, layers: Mapping[str, Layer], criterion: str, granularity: Granularity, data: ScoringData
) -> dict[str, Tensor]:
    twin, sums = copy_graph(gm).eval(), dict[str, Tensor]()
    twins: dict[str, Layer] = {}
    for path in layers:
        layer = twin.get_submodule(path)
        assert isinstance(layer, LAYERS)
        twins[path] = layer
    parameters = [p.requires_grad_() for layer in twins.values() for p in (layer.weight, layer.bias) if p is not None]
    for inputs, labels in data.batches:
        with torch.enable_grad():
            loss = data.loss(twin(*_as_tuple(inputs)), labels)
            gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        given = {id(p): g for p, g in zip(parameters, gradients, strict=True) if g is not None}
        for path, layer in twins.items():
            change = _change(layer.weight, given)
            if granularity == "channel":
                change = by_output(layer, change).sum(1) + (0 if layer.bias is None else _change(layer.bias, given))
            score = change.square() if criterion == "taylor" else change
            sums[path] = sums.get(path, torch.zeros_like(score)) + score
    return sums


def _change(parameter: Tensor, gradients: Mapping[int, Tensor]) -> Tensor:
    """First-order change of the loss when the parameter becomes zero."""
    gradient = gradients.get(id(parameter))
    return torch.zeros_like(parameter) if gradient is None else -parameter.detach() * gradient


class _Watcher(fx.Interpreter):
    """Sums the mean absolute value of each channel at chosen nodes."""

    def __init__(self, gm: fx.GraphModule, watched: Mapping[fx.Node, tuple[str, int]]) -> None:
        super().__init__(gm)
        self.watched, self.sums = watched, dict[str, Tensor]()

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n in self.watched:
            path, axis = self.watched[n]
            mean = result.detach().abs().float().transpose(0, axis).flatten(1).mean(1)
            self.sums[path] = self.sums.get(path, torch.zeros_like(mean)) + mean
        return result


def _mean_activations(gm: fx.GraphModule, layers: Mapping[str, Layer], data: ScoringData) -> dict[str, Tensor]:
    calls = [n for n in gm.graph.nodes if n.op == "call_module" and str(n.target) in layers]
    axes = {n: -1 if isinstance(layers[str(n.target)], torch.nn.Linear) else 1 for n in calls}
    watcher = _Watcher(gm, {_behind_activation(gm, n): (str(n.target), axes[n]) for n in calls})
    with torch.no_grad():
        for inputs, _ in data.batches:
            watcher.run(*_as_tuple(inputs))
    return watcher.sums


def _behind_activation(gm: fx.GraphModule, node: fx.Node) -> fx.Node:
    """The last node after a layer in the chain of its BatchNorm and activations, each of which alone reads the one
    before.
    """
    while (reader := only_reader(node)) is not None:
        operator = operator_of(gm, reader)
        if operator is None or not (Trait.NORMALIZES in operator.traits or operator.elementwise):
            break
        node = reader
    return node


def _as_tuple(inputs: Any) -> tuple[Any, ...]:
    return inputs if isinstance(inputs, tuple) else (inputs,)
