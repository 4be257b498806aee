"""The loop: steps and rates as in the papers, resuming, and its errors."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.binary import BinaryTraining, binarize, squared_hinge, train_binary
from fxpasses.binary.layers import latent_layers
from fxpasses.binary.training import BinaryProgress, fans, step_factors
from fxpasses.errors import InputError

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(2))
Y = (X[:, 0] > X[:, 1]).long()


def graph(method: str | None = "binaryconnect") -> fx.GraphModule:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))
    found = fxpasses.capture(model.eval(), X)
    return binarize(found, method) if method else found


def batches(epoch: int) -> list[tuple[Tensor, Tensor]]:
    order = torch.randperm(32, generator=torch.Generator().manual_seed(epoch))
    return [(X[i], Y[i]) for i in order.split(8)]


SETTINGS = BinaryTraining(epochs=4, lr=0.01, last_lr=1e-4, loss="squared_hinge", scaled_steps=True)


@pytest.mark.parametrize("method", ["binaryconnect", "twn", None])
def test_it_learns(method: str | None) -> None:
    told: list[BinaryProgress] = []
    net = graph(method)
    settings = BinaryTraining(epochs=20, lr=0.02, loss="squared_hinge", scaled_steps=method == "binaryconnect")
    train_binary(net, batches, settings, told.append, steps_per_epoch=4)
    assert [p.epoch for p in told] == list(range(1, 21))
    assert told[-1].loss < 0.7 * told[0].loss
    assert not any(m.training for m in net.modules())


def test_real_weights_stay_in_range() -> None:
    net = graph()
    train_binary(net, batches, BinaryTraining(epochs=2, lr=1.0, last_lr=1.0, scaled_steps=True), steps_per_epoch=4)
    largest = [float(layer.weight.detach().abs().max()) for layer in latent_layers(net).values()]
    assert largest == [1.0, 1.0]


def test_binaryconnects_steps_are_larger_by_the_fans() -> None:
    net = graph()
    assert step_factors(net) == {"0.weight": math.sqrt(22 / 1.5), "3.weight": math.sqrt(18 / 1.5)}
    conv = fxpasses.capture(nn.Sequential(nn.Conv2d(3, 5, 3)).eval(), torch.randn(1, 3, 8, 8))
    (layer,) = latent_layers(binarize(conv, "binaryconnect")).values()
    assert fans(layer) == (27, 45)


def test_the_first_step_is_adams_times_the_factor() -> None:
    net = graph()
    before = latent_layers(net)["0"].weight.detach().clone()
    train_binary(net, lambda _: batches(0)[:1], BinaryTraining(1, 1e-3, 1e-3, scaled_steps=True), steps_per_epoch=1)
    moved = (latent_layers(net)["0"].weight.detach() - before).abs()
    assert moved.max().item() == pytest.approx(1e-3 * math.sqrt(22 / 1.5), rel=1e-3)  # Adam's first step is lr


@pytest.mark.parametrize(("decay", "middle"), [("exponential", 1e-3), ("linear", 5.05e-3), ("cosine", 5.05e-3)])
def test_rates(decay: str, middle: float) -> None:
    settings = BinaryTraining(lr=1e-2, last_lr=1e-4, decay=decay)  # type: ignore[arg-type]  # one of three words
    assert settings.rate(0) == pytest.approx(1e-2) and settings.rate(1) == pytest.approx(1e-4)
    assert settings.rate(0.5) == pytest.approx(middle)


def test_squared_hinge() -> None:
    loss = squared_hinge(torch.tensor([[0.5, -2.0]]), torch.tensor([0]))
    assert loss.item() == pytest.approx((0.25 + 0) / 2)


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    whole = train_binary(graph("binaryconnect-stochastic"), batches, SETTINGS, steps_per_epoch=4)

    class Stopped(Exception):
        pass

    def stop(progress: BinaryProgress) -> None:
        if progress.epoch == 2:
            raise Stopped

    file = tmp_path / "run.ckpt"
    with pytest.raises(Stopped):
        train_binary(graph("binaryconnect-stochastic"), batches, SETTINGS, stop, steps_per_epoch=4, checkpoint=file)
    seen: list[int] = []
    resumed = train_binary(
        graph("binaryconnect-stochastic"),
        batches,
        SETTINGS,
        lambda progress: seen.append(progress.epoch),
        steps_per_epoch=4,
        checkpoint=file,
    )
    assert seen == [3, 4]
    ours, theirs = whole.state_dict(), resumed.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_teacher_takes_the_place_of_labels() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        teacher = nn.Linear(6, 2)
    with torch.no_grad():
        teacher.weight.mul_(4)  # so that it is sure of itself: near-ties are luck
    net = graph(None)
    train_binary(net, batches, BinaryTraining(epochs=30, lr=0.02), steps_per_epoch=4, teacher=teacher)
    with torch.no_grad():
        agrees = (net(X).argmax(1) == teacher(X).argmax(1)).float().mean()
    assert float(agrees) > 0.9


def test_checkpoints_that_do_not_fit(tmp_path: Path) -> None:
    file = tmp_path / "run.ckpt"
    train_binary(graph(), batches, SETTINGS, steps_per_epoch=4, checkpoint=file)
    with pytest.raises(InputError, match="is of another run"):
        train_binary(graph(), batches, BinaryTraining(epochs=1), steps_per_epoch=4, checkpoint=file)
    with pytest.raises(InputError, match="is no checkpoint of this model"):
        train_binary(nn.Linear(6, 2), batches, SETTINGS, steps_per_epoch=4, checkpoint=file)
    with pytest.raises(InputError, match="cannot write the checkpoint"):
        train_binary(graph(), batches, SETTINGS, steps_per_epoch=4, checkpoint=file / "run.ckpt")
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(InputError, match="is no checkpoint of this model"):
        train_binary(graph(), batches, SETTINGS, steps_per_epoch=4, checkpoint=file)


def test_mistakes() -> None:
    with pytest.raises(InputError, match="rates fall"):
        BinaryTraining(lr=1e-3, last_lr=1e-2)
    with pytest.raises(InputError, match="there is no such loss"):
        BinaryTraining(loss="hinge")  # type: ignore[arg-type]  # the mistake
    with pytest.raises(InputError, match="decay 'step'"):
        BinaryTraining(decay="step")  # type: ignore[arg-type]  # the mistake
    with pytest.raises(InputError, match="the data gave no batch"):
        train_binary(graph(), lambda _: [], SETTINGS, steps_per_epoch=1)
    with pytest.raises(InputError, match="diverged in epoch 1, step 1"):
        train_binary(graph(), lambda _: [(X * torch.nan, Y)], SETTINGS, steps_per_epoch=1)
