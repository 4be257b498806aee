"""Detectors are recognised by their class, and copies of them share what they should."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from detector_nets import NETS, faster_rcnn, images, net
from torch import nn
from torchvision.models import resnet18
from torchvision.ops import FrozenBatchNorm2d

from fxpasses.detection.kinds import Kind, kind_of, layers_of, with_plain_norms, without_layers, without_values
from fxpasses.errors import GraphError, InputError


@pytest.mark.parametrize("name", NETS)
def test_each_class_is_known(name: str) -> None:
    assert kind_of(net(name)) is Kind(name)


def test_a_classifier_is_no_detector() -> None:
    with pytest.raises(InputError, match=r"class ResNet\n.*none of torchvision's SSD, RetinaNet, FCOS, FasterRCNN"):
        kind_of(resnet18().eval())


def test_a_forward_of_its_own_is_refused() -> None:
    kind = type(net("SSD"))

    class Changed(kind):  # type: ignore[valid-type,misc]  # a class made of a parameter
        def forward(self, images: object) -> object:
            return images

    model = Changed.__new__(Changed)
    with pytest.raises(InputError, match="has a forward of its own beside that of SSD"):
        kind_of(model)


def test_training_mode_is_refused() -> None:
    with pytest.raises(GraphError, match="in training mode"):
        kind_of(NETS["SSD"]().train())


def test_masks_are_refused() -> None:
    model = faster_rcnn().eval()
    model.roi_heads.mask_roi_pool = model.roi_heads.mask_head = model.roi_heads.mask_predictor = nn.Identity()
    with pytest.raises(InputError, match="masks or keypoints"):
        kind_of(model)


@pytest.mark.parametrize("name", NETS)
def test_the_steps_have_no_weights(name: str) -> None:
    model = net(name)
    steps = without_layers(model, Kind(name))
    assert list(steps.parameters()) == []
    assert all(any(True for _ in layers.parameters()) for layers in layers_of(model, Kind(name)))


def test_a_copy_without_values_gives_sizes() -> None:
    backbone = net("SSD").backbone
    assert isinstance(backbone, nn.Module)
    found = without_values(backbone)(torch.empty(1, 3, 64, 96, device="meta"))
    assert {name: tuple(maps.shape) for name, maps in found.items()} == {"0": (1, 32, 8, 12), "1": (1, 32, 4, 6)}
    assert not any(p.is_meta for p in backbone.parameters())


def test_frozen_norms_become_plain_ones() -> None:
    backbone: Any = faster_rcnn(FrozenBatchNorm2d).eval().backbone
    for buffer in backbone.buffers():
        buffer.uniform_(0.5, 2)
    plain = with_plain_norms(backbone)
    x = torch.stack(images())
    with torch.no_grad():
        expected, found = backbone(x)["1"], plain(x)["1"]
    assert sum(isinstance(m, nn.BatchNorm2d) for m in plain.modules()) == 4
    assert not any(isinstance(m, FrozenBatchNorm2d) for m in plain.modules())
    assert torch.allclose(expected, found, rtol=1e-4, atol=1e-4)  # another order of float32 operations
    assert dict(plain.named_parameters())["first.0.weight"] is backbone.first[0].weight
