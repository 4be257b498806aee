"""Recovery: statistics are averages, distillation is Hinton's, images move by whole pixels."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fxpasses.errors import InputError
from fxpasses.models.training.fine_tuning import Distillation, reestimate_batch_norm
from fxpasses.models.training.loop import TrainConfig, train


def test_statistics_are_the_averages_over_all_batches() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, momentum=0.3)).eval()
    batches = [torch.randn(8, 3) for _ in range(3)]
    seen: list[int] = []
    assert reestimate_batch_norm(module, batches, seen.append) == 1
    norm = module[1]
    assert isinstance(norm, nn.BatchNorm1d)
    with torch.no_grad():
        outputs = [module[0](x) for x in batches]
    torch.testing.assert_close(norm.running_mean, torch.stack([y.mean(0) for y in outputs]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([y.var(0) for y in outputs]).mean(0))
    assert (norm.momentum, norm.training, seen) == (0.3, False, [8, 8, 8])


def test_nothing_to_reestimate_leaves_the_data_alone() -> None:
    batches = iter([torch.randn(2, 2)])
    assert reestimate_batch_norm(nn.Linear(2, 2), batches) == 0
    assert len(list(batches)) == 1


def test_no_batch() -> None:
    with pytest.raises(InputError, match="BatchNorm statistics"):
        reestimate_batch_norm(nn.BatchNorm1d(2), [])


def test_distillation() -> None:
    teacher, logits = nn.Linear(4, 3), torch.randn(5, 3)
    x, labels = torch.randn(5, 4), torch.tensor([0, 1, 2, 0, 1])
    alone = Distillation(teacher, temperature=2.0, weight=1.0)
    p, q = F.softmax(teacher(x) / 2, 1), F.softmax(logits / 2, 1)
    torch.testing.assert_close(alone(x, logits, labels), 4 * (p * (p / q).log()).sum(1).mean())
    labels_only = Distillation(teacher, weight=0.0)
    torch.testing.assert_close(labels_only(x, logits, labels), F.cross_entropy(logits, labels))
    with pytest.raises(InputError, match="distillation of weight 2"):
        Distillation(teacher, weight=2)


def test_the_training_loop_takes_another_loss_and_is_interrupted_after_steps() -> None:
    module, steps = nn.Linear(4, 3), []

    def after_step() -> None:
        steps.append(1)
        with torch.no_grad():
            module.weight[0] = 0

    teacher = nn.Linear(4, 3)
    data = [(torch.randn(5, 4), torch.tensor([0, 1, 2, 0, 1]))] * 2
    train(
        module,
        lambda _: data,
        TrainConfig(3, 0.1, "sgd"),
        loss=Distillation(teacher, weight=1.0),
        after_step=after_step,
    )
    assert len(steps) == 6
    assert bool((module.weight[0] == 0).all()) and bool((module.weight[1] != 0).any())
