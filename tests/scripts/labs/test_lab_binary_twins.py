"""The binary network for CIFAR-10 and its float twin: one form, one number of epochs, measured alike."""

from __future__ import annotations

from pathlib import Path

import torch
from binary_twins import compared, twins
from low_bits.mini_cifar import Images
from low_bits.nets import seeded


def test_twins_have_the_same_weights_and_epochs() -> None:
    floating, binary = twins(width=4, epochs=3)
    assert (floating.method, binary.method) == (None, "binaryconnect")
    assert floating.training.epochs == binary.training.epochs == 3
    assert binary.training.scaled_steps and not floating.training.scaled_steps
    first, second = (seeded(plan.build).state_dict() for plan in (floating, binary))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_the_result_has_both_nets_and_their_distance(tmp_path: Path) -> None:
    pixels = torch.randint(0, 256, (40, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    images = Images(pixels, torch.arange(40) % 10)
    result = compared(twins(width=2, epochs=1), images, images, tmp_path)
    nets = result["nets"]
    assert isinstance(nets, list) and [net["name"] for net in nets] == ["float", "BinaryConnect"]
    assert result["points_behind"] == nets[0]["top1"] - nets[1]["top1"]
    assert nets[1]["lsb"] == 0 and nets[0]["lsb"] <= 1
    assert (tmp_path / "BinaryConnect.fxbits").stat().st_size == nets[1]["shipped_bytes"]
