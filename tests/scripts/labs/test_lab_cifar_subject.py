"""A lab's net for CIFAR-10: weights of any width can be loaded, and the lab limits the number of images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lab_report import LabReport, LabSettings
from resnet18_cifar10 import begin
from subjects.cifar_subject import CALIBRATION_IMAGES, QUICK_HELD_OUT_IMAGES, cifar_subject
from torch import nn
from vgg.pooled import PooledVgg, narrowed, shaped

from fxpasses.errors import InputError
from fxpasses.models.model_input import UNIT_RANGE
from fxpasses.models.nets.cifar_resnet18 import CifarResNet18


def _report(folder: Path, weights: Path | None = None) -> LabReport:
    if not (folder / "cifar10").exists():
        (folder / "cifar10" / "cifar-10-batches-bin").mkdir(parents=True)
        generator = torch.Generator().manual_seed(0)
        for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
            count = 250 if name == "test_batch" else 60
            records = torch.randint(256, (count, 3073), dtype=torch.uint8, generator=generator)
            records[:, 0] %= 10
            (folder / "cifar10" / "cifar-10-batches-bin" / f"{name}.bin").write_bytes(records.numpy().tobytes())
    return LabReport("tiny", "A tiny lab", LabSettings(folder, folder / "out", True, weights))


def test_a_vgg_has_the_shape_of_its_weights(tmp_path: Path) -> None:
    net = narrowed(32)
    torch.save(net.state_dict(), tmp_path / "weights.pt")
    report = _report(tmp_path)
    subject = cifar_subject(report, shaped, PooledVgg, UNIT_RANGE, tmp_path / "weights.pt")
    assert torch.equal(subject.net.get_parameter("classifier.weight"), net.classifier.weight)
    assert not subject.net.training and report.remarks == ["PooledVgg of 9,396 parameters, with the weights given."]
    assert sum(len(labels) for _, labels in subject.batches()) == QUICK_HELD_OUT_IMAGES
    assert sum(len(images) for images in subject.calibration()) == CALIBRATION_IMAGES
    assert subject.make_input(3).shape == (3, 3, 32, 32)
    assert not [node for node in subject.fused.graph.nodes if isinstance(_module(subject.fused, node), nn.BatchNorm2d)]


def _module(gm: torch.fx.GraphModule, node: torch.fx.Node) -> nn.Module | None:
    return gm.get_submodule(str(node.target)) if node.op == "call_module" else None


def test_a_resnet_has_the_width_of_its_weights(tmp_path: Path) -> None:
    torch.save(CifarResNet18(width=2).state_dict(), tmp_path / "weights.pt")
    subject = begin(_report(tmp_path, tmp_path / "weights.pt"))
    assert subject.net.get_parameter("conv1.weight").shape == (2, 3, 3, 3)


def test_training_is_in_place_and_tells_its_steps(tmp_path: Path) -> None:
    torch.save(narrowed(32).state_dict(), tmp_path / "weights.pt")
    subject = cifar_subject(_report(tmp_path), shaped, PooledVgg, UNIT_RANGE, tmp_path / "weights.pt")
    before, steps = subject.net.get_parameter("classifier.weight").clone(), list[int]()
    subject.train(subject.net, 1, 0.01, lambda: steps.append(1))
    assert not torch.equal(before, subject.net.get_parameter("classifier.weight"))
    assert len(steps) == 5 and not subject.net.training


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    (tmp_path / "cifar10").mkdir()
    report = LabReport("tiny", "A tiny lab", LabSettings(tmp_path, tmp_path, True))
    with pytest.raises(InputError, match=r"cifar10=.* is incomplete"):
        cifar_subject(report, shaped, PooledVgg, UNIT_RANGE, None)
