"""Models, graphs and files for tests of errors."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from tiny_graphs import fresh_inputs, fused, quantized
from tiny_nets.all_nets import TINY
from torch import Tensor, fx, nn

import fxpasses
from fxpasses import pruning
from fxpasses.export import to_onnx
from fxpasses.precision.half import to_half
from fxpasses.quantization.config import QuantConfig

X = torch.randn(2, 3, generator=torch.Generator().manual_seed(1))
IMAGES = fresh_inputs(TINY["conv_bn_relu"], 5)

Case = tuple[Callable[[Path], Any], str, Callable[[Path], Any]]


def each(call: Callable[..., object], *arguments: tuple[Any, ...]) -> list[object]:
    """Results of a function for each of the given arguments."""
    return [call(*given) for given in arguments]


def small_net() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()


def small_graph() -> fx.GraphModule:
    return fxpasses.capture(small_net(), X)


def quantize(batches: Any, **settings: Any) -> fx.GraphModule:
    return fxpasses.quantize(small_net(), X, batches, QuantConfig(target="x86", **({"observer": "minmax"} | settings)))


def config(**settings: Any) -> QuantConfig:
    return QuantConfig(target="x86", **settings)


class WithLayers(nn.Module):
    """Model that branches on a value, between layers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)
        return out * 2 if float(out.sum()) > 1e9 else out


class Detector(nn.Module):
    """Model with layers in a backbone, and a forward that loops over a number of boxes that depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.anchors = small_net(), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.backbone(x)
        kept = [row for row in scores if float(row.sum()) > -1e9]
        return torch.stack(kept) if len(kept) else scores


class InPlaceState(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, x: Tensor, noise: bool = True) -> Tensor:
        out: Tensor = self.layer(x)
        return out + torch.rand(1) if noise else out


class Returns(nn.Module):
    def __init__(self, wrapped: bool) -> None:
        super().__init__()
        self.layer, self.wrapped = nn.Linear(3, 4), wrapped

    def forward(self, x: Tensor) -> Any:
        y = self.layer(x)
        return {"y": y} if self.wrapped else {"y": object()}


class SetsDefaultDtype(nn.Module):
    def __init__(self, changes: bool) -> None:
        super().__init__()
        self.layer, self.changes = nn.Linear(3, 4), changes

    def forward(self, x: Tensor) -> Tensor:
        if self.changes:
            torch.set_default_dtype(torch.float64)
        out: Tensor = self.layer(x) + torch.zeros(4, dtype=torch.float32)
        return out


def int8_file(folder: Path, name: str = "conv_bn_relu") -> Path:
    (folder / f"{name}.onnx").write_bytes(_file_of(name))
    return folder / f"{name}.onnx"


def float_file(folder: Path) -> Path:
    (folder / "float.onnx").write_bytes(_file_of(None))
    return folder / "float.onnx"


@cache
def _file_of(name: str | None) -> bytes:
    """The file of a tiny net in int8, or of the small net in float."""
    graph = small_graph() if name is None else quantized(name)
    with TemporaryDirectory() as folder:
        return to_onnx(graph, Path(folder) / "m.onnx", verify=False).read_bytes()


def pruned(graph: fx.GraphModule, ratio: float) -> Any:
    return pruning.choose_channels(pruning.find_dependencies(graph), ratio, pruning.channel_scores(graph, "l1"))


def lowered() -> fx.GraphModule:
    return to_half(fused("conv_bn_relu"), "fp16")


def loaded(model: nn.Module) -> nn.Module:
    model.load_state_dict(small_net().state_dict())
    return model


def calibrated(graph: fx.GraphModule) -> fx.GraphModule:
    fxpasses.calibrate(graph, [IMAGES])
    return graph


def through_torch_save(graph: fx.GraphModule, folder: Path) -> Any:
    torch.save(graph, folder / "graph.pt")
    return torch.load(folder / "graph.pt", weights_only=False)
