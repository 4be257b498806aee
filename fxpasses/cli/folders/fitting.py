"""Check that a model and its data fit, before anything slow: the shape of its output, and the labels."""

from __future__ import annotations

import torch
from torch import Tensor

from fxpasses.capturing.checks import run_model
from fxpasses.errors import InputError
from fxpasses.measure.metrics import Metric
from fxpasses.models.data.data_source import DataSource, SplitSource, TargetSplit, targets_of
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.model_input import in_front
from fxpasses.models.users.user_data import UserBatches
from fxpasses.models.users.user_source import UserSource
from fxpasses.signature.label_check import require_classes
from fxpasses.signature.outputs import tensors_of


def fitted(model: LoadedModel, data: DataSource, metric: Metric | None = None) -> DataSource:
    """Return the data, checked: its labels are classes of the model, or are what a metric takes instead.

    Labels of the caller's own data are checked batch by batch as they come.

    Raises:
        InputError: a label is no class of the model, or the model's outputs have no values.
        GraphError: the model does not run.
    """
    logits = logits_of(model)
    if metric is not None and not (metric.classes and metric.index == 0):
        return data.with_any_labels() if isinstance(data, UserBatches | UserSource) else data
    if logits is None:
        return data
    if isinstance(data, UserBatches | UserSource):
        return data.for_logits(logits)
    if isinstance(data, SplitSource):
        for split in (data.training, data.held_out):
            if split.labels is not None:
                require_classes(split.labels, logits[0], data.name)
            elif isinstance(split, TargetSplit):
                _require_decisions(targets_of(split, torch.arange(1)), logits, data.name)
    return data


def _require_decisions(labels: Tensor, logits: tuple[int, ...], source: str) -> None:
    """Raise InputError for labels that do not fit the shape of these logits: they need a metric."""
    if labels.is_floating_point() or tuple(labels.shape[1:]) != logits[1:]:
        raise InputError(
            f"{source} has labels of shape {list(labels.shape)}",
            why=f"the model gives {['B', *logits]}, and without a metric labels are a class for each decision",
            fix="name a metric: --metric miou, map, mse, mae, or path/file.py:function",
        )


def logits_of(model: LoadedModel) -> tuple[int, ...] | None:
    """``(classes, ...)``: shape of the model's first output for one input; None if it has no classes.

    Raises:
        InputError: an output has no dimension or no elements, or there is none.
        GraphError: the model does not run.
    """
    outputs = tensors_of(run_model(model.module, model.example_inputs()))
    if not outputs:
        raise InputError(
            f"{model.name} gives no tensor", why="there is nothing to compare", fix="return the logits from forward"
        )
    for output in outputs:
        if not output.dim() or not output.numel():
            lack = "elements" if output.dim() else "a dimension"
            raise InputError(
                f"{model.name} gives an output without {lack}",
                why=f"for two inputs its shape is {list(output.shape)}, where dimension 0 is to be the batch",
                fix="return a tensor with values for each input",
            )
    first = in_front(outputs[0], next(iter(model.output_dims), None))
    return tuple(first.shape[1:]) if first.dim() > 1 else None
