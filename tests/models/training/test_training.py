"""The training loop learns, is repeatable, and reports failures."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from fxpasses.errors import InputError
from fxpasses.models.data.data_source import SplitSource
from fxpasses.models.datasets import open_dataset
from fxpasses.models.training.evaluation import evaluate_top1
from fxpasses.models.training.loop import Progress, TrainConfig, train
from fxpasses.models.zoo import load_model


def two_clouds(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Points left and right of zero."""
    generator = torch.Generator().manual_seed(epoch)
    for _ in range(8):
        labels = torch.randint(2, (16,), generator=generator)
        yield torch.randn(16, 3, generator=generator) + (4 * labels - 2).unsqueeze(1), labels


def small_net() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.1), nn.ReLU(), nn.Linear(8, 2))


@pytest.mark.parametrize("config", [TrainConfig(epochs=3, lr=0.05), TrainConfig(epochs=3, lr=0.1, optimizer="sgd")])
def test_it_learns_what_is_easy(config: TrainConfig) -> None:
    net = train(small_net(), two_clouds, config)
    assert not net.training
    assert evaluate_top1(net, two_clouds(99)) > 97


def test_the_same_seed_gives_the_same_weights() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (train(small_net(), two_clouds, TrainConfig(epochs=1, seed=seed)) for seed in (1, 1, 2))
    weights = [net.get_parameter("0.weight") for net in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_progress_is_told_after_each_epoch() -> None:
    told: list[Progress] = []
    train(small_net(), two_clouds, TrainConfig(epochs=3), told.append)
    assert [(progress.epoch, progress.epochs) for progress in told] == [(1, 3), (2, 3), (3, 3)]
    assert told[2].loss < told[0].loss


@pytest.mark.parametrize(("images_per_epoch", "falls"), [(None, [1.0, 1.0, 0.5, 0.5]), (32, [1.0, 0.85, 0.5, 0.15])])
def test_the_learning_rate_falls_on_a_cosine(images_per_epoch: int | None, falls: list[float]) -> None:
    """A step of plain SGD on a constant gradient is as long as the learning rate."""
    net, places = nn.Linear(1, 2, bias=False), list[float]()
    config = TrainConfig(epochs=2, lr=0.1, optimizer="sgd", weight_decay=0.0, momentum=0.0)

    def halves(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(2):
            places.append(float(net.weight.detach()[0, 0]))
            yield torch.ones(16, 1), torch.zeros(16, dtype=torch.long)

    train(net, halves, config, loss=lambda _, logits, __: logits[:, 0].mean(), images_per_epoch=images_per_epoch)
    places.append(float(net.weight.detach()[0, 0]))
    steps = [10 * (before - after) for before, after in pairwise(places)]
    assert steps == pytest.approx(falls, abs=0.01)


def test_bfloat16_learns_the_same_and_keeps_float_weights() -> None:
    net = train(small_net(), two_clouds, TrainConfig(epochs=3, lr=0.05, bf16=True))
    exact = train(small_net(), two_clouds, TrainConfig(epochs=3, lr=0.05))
    assert evaluate_top1(net, two_clouds(99)) > 97
    weights, others = net.get_parameter("0.weight"), exact.get_parameter("0.weight")
    assert weights.dtype is torch.float32 and not torch.equal(weights, others)


def test_training_that_diverges_is_stopped() -> None:
    def with_nan(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        yield torch.full((2, 3), float("nan")), torch.tensor([0, 1])

    net = small_net()
    with pytest.raises(InputError, match=r"(?s)diverged in epoch 1.*lower the learning rate"):
        train(net, with_nan)
    assert not net.training


def test_an_empty_epoch_is_refused() -> None:
    with pytest.raises(InputError, match="epoch 1 has no images"):
        train(small_net(), lambda epoch: [])


def test_settings_are_checked() -> None:
    with pytest.raises(InputError, match="cannot train 0 epochs"):
        TrainConfig(epochs=0)
    with pytest.raises(InputError, match="learning rate 0"):
        TrainConfig(lr=0)
    with pytest.raises(InputError, match="unknown optimizer 'adam'"):
        TrainConfig(optimizer="adam")  # type: ignore[arg-type]


def test_the_digits_are_learnt_in_seconds() -> None:
    model = load_model("digits_cnn", fresh=True)
    data = open_dataset("digits", model)
    assert isinstance(data, SplitSource)
    train(model.module, lambda epoch: data.training_batches(64, seed=epoch), TrainConfig(epochs=4))
    assert evaluate_top1(model.module, data.evaluation()) >= 97
