"""A metric over labelled batches, as accuracy is measured."""

from __future__ import annotations

from torch import Tensor

from fxpasses.measure.metrics import metric_named


def measured(name: str, output: Tensor, labels: object, batch: int = 100) -> float:
    sums = metric_named(name).start()
    parts = labels.split(batch) if isinstance(labels, Tensor) else [labels]
    for found, known in zip(output.split(batch), parts, strict=True):
        sums.add(found, known)
    return sums.value()
