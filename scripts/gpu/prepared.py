"""Nets to measure: float modules with random weights, and graphs and files made of them beforehand.

Speed and exactness do not depend on trained weights. Quantizing takes minutes on a CPU, so it is done before a card is
used: ``bench_cuda.py --prepare DIR``, on any machine.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.models.training.settle import settle
from fxpasses.quantization.config import QuantConfig

CLASSES = 10
CALIBRATION_IMAGES = 8


def float_net(name: str, image: int) -> nn.Module:
    """A net by name, in eval mode, with random weights that keep its values from vanishing."""
    torch.manual_seed(0)
    return settle(_BUILD.get(name, lambda: _torchvision(name))(), 0, (images(1, image),)).eval()


def _torchvision(name: str) -> nn.Module:
    from torchvision import models

    module: nn.Module = models.get_model(name, weights=None)
    return module


class _Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, groups=8)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = torch.relu(self.second(torch.relu(self.first(x))) + x)
        return y


def _tiny() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        _Residual(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, CLASSES),
    )


def _cifar_resnet20() -> nn.Module:
    from fxpasses.models.nets.cifar_resnet import CifarResNet

    return CifarResNet(20)


_BUILD: dict[str, Callable[[], nn.Module]] = {"tiny": _tiny, "cifar_resnet20": _cifar_resnet20}


def images(batch: int, size: int) -> Tensor:
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(batch))


def quantized(name: str, image: int, folder: Path | None) -> fx.GraphModule:
    """The int8 graph of a net, read from the folder if it was prepared there, else made now."""
    stored = None if folder is None else folder / f"{name}-{image}.pt2"
    if stored is not None and stored.exists():
        return fxpasses.export.load(stored)
    model = float_net(name, image)
    data = [images(CALIBRATION_IMAGES, image)]
    return fxpasses.quantize(model, (images(2, image),), data, QuantConfig(target="cuda", observer="minmax"))


def prepare(nets: tuple[str, ...], image: int, folder: Path) -> list[Path]:
    """Write what the measurement of these nets needs: graphs, and ONNX files for onnxruntime and TensorRT."""
    from fxpasses.precision.half import to_half

    from .tensorrt_form import to_tensorrt_form

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in nets:
        stem = f"{name}-{image}"
        graph = quantized(name, image, None)
        fxpasses.export.save(graph, folder / f"{stem}.pt2")
        qdq = fxpasses.export.to_onnx(graph, folder / f"{stem}.qdq.onnx", verify=False)
        tensorrt = to_tensorrt_form(qdq, folder / f"{stem}.tensorrt.onnx")
        fused = fxpasses.fuse(fxpasses.capture(float_net(name, image), (images(2, image),)))
        fp16 = fxpasses.export.to_onnx(to_half(fused, "fp16"), folder / f"{stem}.fp16.onnx", verify=False)
        written += [folder / f"{stem}.pt2", qdq, tensorrt, fp16]
    return written
