"""A Normalize of torchvision in front of a model is arithmetic, in both runtimes."""

from __future__ import annotations

from pathlib import Path

import torch
from tiny_graphs import operators_of
from torch import nn
from torchvision.transforms import CenterCrop, Normalize

import fxpasses as fx
from fxpasses.capturing.transforms import plain_forward

MEAN, DEVIATION = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)


def test_it_computes_what_the_transform_does() -> None:
    transform, x = Normalize(MEAN, DEVIATION), torch.rand(2, 3, 8, 6)
    forward = plain_forward(transform)
    assert forward is not None
    torch.testing.assert_close(forward(x), transform(x), rtol=0, atol=0)


def test_other_modules_have_their_own() -> None:
    assert plain_forward(nn.ReLU()) is None and plain_forward(CenterCrop(3)) is None


class Sub(Normalize):  # type: ignore[misc]  # torchvision has no annotations
    def forward(self, tensor: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = super().forward(tensor) * 2
        return found


def test_a_subclass_is_another_function() -> None:
    assert plain_forward(Sub(MEAN, DEVIATION)) is None


def test_a_model_with_its_preprocessing(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(Normalize(MEAN, DEVIATION), CenterCrop(6), nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    batches = [torch.rand(4, 3, 8, 8) for _ in range(2)]
    graph = fx.capture(model, batches[0])
    assert operators_of(graph)[:2] == ["sub", "div"]
    int8 = fx.quantize(model, batches[0], batches)
    path = fx.export.to_onnx(int8, tmp_path / "m.onnx")
    assert fx.export.parity(int8, batches, onnx_path=path).max_lsb_at_any_node == 0
