"""Lab 5: the networks of its plans, their measurements, and the whole lab with its quick settings."""

from __future__ import annotations

from pathlib import Path

import low_bit
import pytest
import torch
from lab_report import LabSettings, run_lab
from low_bit import LAB
from low_bits.mini_cifar import Images
from low_bits.nets import Plan, at_widths, cifar_plans, measured, seeded, trained, with_integers
from torch import nn

from fxpasses.binary import METHODS, BinaryTraining
from fxpasses.models.nets.binary_nets import BinaryConnectCifar


def noise(count: int) -> Images:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return Images(pixels, torch.arange(count) % 10)


def test_the_plans() -> None:
    plans = cifar_plans(1, quick=True)
    assert plans[0].method is None
    assert {plan.method for plan in plans[1:]} == set(METHODS) - {"binaryconnect-stochastic"}
    sizes = [sum(p.numel() for p in seeded(plan.build).parameters()) for plan in at_widths(1, quick=False)]
    assert sizes == sorted(sizes) and sizes[-1] > 20 * sizes[0]


@pytest.mark.slow
def test_one_network_from_training_to_its_file(tmp_path: Path) -> None:
    def build() -> nn.Module:
        return BinaryConnectCifar((8, 16), (True, True), (16,))

    settings = BinaryTraining(1, loss="squared_hinge", scaled_steps=True)
    plan, images = Plan("tiny", "binaryconnect", build, settings), noise(40)
    found = measured(plan, trained(plan, images, None), images, images, tmp_path)
    assert found.params == sum(p.numel() for p in build().parameters()) and found.lsb == 0
    assert found.shipped_bytes == (tmp_path / "tiny.fxbits").stat().st_size < found.float_bytes
    assert found.score.of_cifar10 and 0 <= found.int8_top1 <= 100


def test_overwritten_weights_are_on_their_grid() -> None:
    net = seeded(lambda: nn.Sequential(nn.Linear(64, 3)))
    assert isinstance(net, nn.Sequential)
    coarse = with_integers(net, 2)
    assert isinstance(coarse, nn.Sequential)
    weight = coarse[0].weight
    assert isinstance(weight, torch.Tensor)
    assert all(len(row.unique()) <= 4 for row in weight.detach()) and not torch.equal(weight, net[0].weight)  # type: ignore[arg-type]  # both are tensors


@pytest.mark.slow
def test_the_quick_lab_answers_everything(lab_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of the quick lab's training images of CIFAR-10, and all test images there are."""
    if not (lab_data / "cifar10").is_dir():
        pytest.skip("the lab needs cifar10 in the folder of real data")
    monkeypatch.setattr(low_bit, "QUICK_IMAGES", 1000)
    report = run_lab(LAB, LabSettings(lab_data, tmp_path, quick=True))
    found = {answer.number: answer.value for answer in report.answers}
    assert found["1.a"] > 50 and abs(found["1.a"] - found["3.a"]) < 5 and found["4.f"] == 0
    assert (tmp_path / "report.json").is_file() and (tmp_path / "accuracy_against_size.png").is_file()
