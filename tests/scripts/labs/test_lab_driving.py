"""Lab 2: frames change as they should, and the three mistakes of usual solutions are avoided."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from car.frames import Frames, augmented, mirrored, other_street, read_driving, upside_down
from car.net import DrivingNet
from subjects.measured_model import flops, parameters
from torch import nn
from torch.fx import GraphModule

import fxpasses as fx
from fxpasses.errors import InputError
from fxpasses.export.files import file_bytes
from fxpasses.graph.stages import Stage, stage_of
from fxpasses.measure.model_size import module_bytes
from fxpasses.models.training.settle import settle

NARROWEST = 16
HIDDEN_PRODUCTS = 4 * 96 * 96 * 32
PRODUCTS = 96 * 96 * (27 * 1 + 9 * 2 + 25 * 2 * 4) + HIDDEN_PRODUCTS + 32 * 4


@pytest.fixture(scope="module")
def forms() -> tuple[GraphModule, GraphModule]:
    """A narrow driving net as a fused FLOAT graph and in int8."""
    x = torch.rand(4, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    net = settle(DrivingNet(NARROWEST), 0, (x,))
    return fx.fuse(fx.capture(net, (x[:2],))), fx.quantize(net, (x[:2],), [x], fx.QuantConfig(equalization=False))


def test_flops_of_int8_are_those_of_float(forms: tuple[GraphModule, GraphModule]) -> None:
    float_graph, int8 = forms
    assert flops(float_graph) == flops(int8) == 2 * PRODUCTS


def test_weights_of_int8_are_counted(forms: tuple[GraphModule, GraphModule]) -> None:
    """The usual count, of ``parameters()``, finds none: int8 weights are buffers."""
    float_graph, int8 = forms
    assert sum(p.numel() for p in fx.export.to_torch(int8).parameters()) == 0
    assert parameters(int8) == parameters(float_graph) >= HIDDEN_PRODUCTS // 1


def test_size_of_int8_is_that_of_its_file(forms: tuple[GraphModule, GraphModule], tmp_path: Path) -> None:
    float_graph, int8 = forms
    sizes = [file_bytes(fx.export.save(graph, tmp_path / f"{stage_of(graph)}.pt2")) for graph in forms]
    assert sizes[1] < 0.3 * sizes[0]
    assert sizes[1] > 0.25 * module_bytes(float_graph)
    assert stage_of(int8) is Stage.QUANTIZED


def test_nothing_is_prepared_unfused(forms: tuple[GraphModule, GraphModule]) -> None:
    """The net is fused before quantization: no BatchNorm is left, neither after convolutions nor after the linear
    layer.
    """
    net = DrivingNet(NARROWEST)
    assert sum(isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)) for part in net.modules()) == 3
    names = [str(node.target) for node in forms[1].graph.nodes]
    assert not [name for name in names if "norm" in name]
    assert sum(name.endswith("conv2d") or "conv2d" in name for name in names) == 3


def _frames() -> Frames:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (8, 3, 96, 96), dtype=torch.uint8, generator=generator)
    return Frames(images, torch.arange(8) % 4)


def test_a_mirror_swaps_left_and_right() -> None:
    frames = _frames()
    changed = mirrored(frames)
    assert changed.labels.tolist() == [1, 0, 2, 3, 1, 0, 2, 3]
    assert torch.equal(changed.images[..., 0], frames.images[..., -1])
    assert torch.equal(mirrored(changed).images, frames.images)
    assert torch.equal(upside_down(frames).images[:, :, 0], frames.images[:, :, -1])


def test_only_grey_pixels_of_the_street_change() -> None:
    pixels = torch.tensor([[102, 102, 102], [100, 202, 100], [0, 0, 0], [105, 104, 105], [200, 200, 200]])
    images = pixels.to(torch.uint8).t().reshape(1, 3, 1, 5)
    changed = other_street(Frames(images, torch.zeros(1, dtype=torch.int64))).images
    expected = torch.tensor([[155, 102, 60], [100, 202, 100], [0, 0, 0], [155, 102, 60], [200, 200, 200]])
    assert torch.equal(changed.reshape(3, 5).t().long(), expected)


def test_augmentation_moves_pictures_and_keeps_labels_with_them() -> None:
    """A bright left half stays on the side that the label names."""
    images = torch.zeros(64, 3, 96, 96)
    images[:, :, :, :40] = 1
    moved, labels = augmented(images, torch.zeros(64, dtype=torch.int64), torch.Generator().manual_seed(0))
    assert moved.shape == images.shape and set(labels.tolist()) == {0, 1}
    brighter_left = moved[:, 0, :, :48].mean((1, 2)) > moved[:, 0, :, 48:].mean((1, 2))
    assert torch.equal(brighter_left, labels == 0)


def test_validation_has_tracks_of_its_own(tmp_path: Path) -> None:
    for name, tracks in (("train", [1, 1, 2, 3, 4, 5]), ("test", [9, 9])):
        count = len(tracks)
        x = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 96, 96, 3), np.uint8)
        np.savez(tmp_path / f"{name}.npz", x=x, y=np.zeros(count, np.int64), track=np.array(tracks))
    training, validation, test = read_driving(tmp_path)
    assert training.images[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert validation.images[:, 0, 0, 0].tolist() == [3, 4, 5]
    assert (len(test), len(training.every(2))) == (2, 2)
    assert next(iter(training.batches(2)))[0].shape == (2, 3, 96, 96)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*train\.npz"):
        read_driving(tmp_path)
    np.savez(tmp_path / "train.npz", x=np.zeros(1))
    with pytest.raises(InputError, match="with x, y and track"):
        read_driving(tmp_path)


def test_the_whole_net_has_302_million_weights() -> None:
    with torch.device("meta"):
        net = DrivingNet()
    assert 301.9e6 < sum(value.numel() for value in net.parameters()) < 302.2e6
