"""conv3d and transposed convolutions, in Triton's interpreter, give the reference's integers, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
import torch
from engine_calls import random_integers
from tiny_graphs import quantize_net
from tiny_nets.net import tiny
from torch import nn

from fxpasses.export.engines.cuda import volumes
from fxpasses.export.engines.cuda.engine import _Choosing
from fxpasses.export.engines.cuda.volumes import CudaVolumes, why_not_volumes
from fxpasses.export.engines.reference import ReferenceKernel
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.int8.int8_calls import Int8Call, find_int8_calls, layer_of

pytestmark = pytest.mark.usefixtures("interpreter")

CPU = torch.device("cpu")
LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "volume": (lambda: nn.Conv3d(5, 7, 3, padding=1), (2, 5, 3, 4, 5)),
    "volume_strided": (lambda: nn.Conv3d(3, 8, (3, 2, 1), stride=(1, 2, 3), padding=(1, 0, 0)), (1, 3, 4, 5, 6)),
    "volume_dilated": (lambda: nn.Conv3d(35, 4, (1, 3, 3), dilation=(1, 2, 1), bias=False), (1, 35, 2, 5, 3)),
    "volume_groups": (lambda: nn.Conv3d(6, 9, 2, groups=3), (1, 6, 2, 3, 3)),
    "volume_of_one": (lambda: nn.Conv3d(32, 17, 3, padding=1), (2, 32, 1, 1, 1)),
    "clamped_volume": (lambda: nn.Sequential(nn.Conv3d(4, 5, 1), nn.ReLU6()), (1, 4, 2, 3, 2)),
    "transposed": (lambda: nn.ConvTranspose2d(5, 7, 3, stride=2, output_padding=1), (2, 5, 3, 4)),
    "transposed_twice": (lambda: nn.ConvTranspose2d(32, 6, 2, stride=2), (1, 32, 3, 2)),
    "transposed_padded": (lambda: nn.ConvTranspose2d(3, 5, 4, stride=2, padding=1), (1, 3, 4, 3)),
    "transposed_dilated": (lambda: nn.ConvTranspose2d(4, 3, 3, stride=3, dilation=2, padding=2), (1, 4, 3, 3)),
    "transposed_with_gaps": (lambda: nn.ConvTranspose2d(4, 3, 1, stride=3, output_padding=2), (1, 4, 2, 2)),
    "transposed_uneven": (lambda: nn.ConvTranspose2d(4, 3, (3, 2), stride=(1, 3), dilation=(2, 1)), (1, 4, 2, 3)),
    "transposed_groups": (lambda: nn.ConvTranspose2d(6, 9, 3, stride=2, groups=3, bias=False), (2, 6, 2, 3)),
    "transposed_one_pixel": (lambda: nn.ConvTranspose2d(37, 5, 3, stride=2, padding=1), (1, 37, 1, 1)),
    "transposed_1d": (lambda: nn.ConvTranspose1d(3, 5, 4, 2), (2, 3, 7)),
    "transposed_3d": (lambda: nn.ConvTranspose3d(3, 4, 2, stride=2, padding=(1, 0, 0)), (1, 3, 2, 2, 2)),
}  # fmt: skip
QUICK = {
    *(("volume_strided", "x86"), ("volume_groups", "cuda"), ("volume_of_one", "cuda"), ("transposed", "x86")),
    *(("transposed_dilated", "cuda"), ("transposed_with_gaps", "x86"), ("transposed_groups", "cuda")),
    ("transposed_1d", "cuda"),
}
CASES = [
    pytest.param(name, target, marks=[] if (name, target) in QUICK else [pytest.mark.slow])
    for name in LAYERS
    for target in ("cuda", "x86")
]


@cache
def layer_call(name: str, target: str) -> tuple[Int8Call, str]:
    """The call of a layer, and its place in a lowering of its graph."""
    build, shape = LAYERS[name]
    gm = quantize_net(tiny(name, build, shape), QuantConfig(target=target, observer="minmax", float_results=False))
    call = next(call for call in find_int8_calls(gm).values() if call.layer is not None)
    choosing = _Choosing(gm, CPU)
    assert isinstance(choosing.kernel_for(call), CudaVolumes)
    return call, choosing.placement.get(call.name, "")


@pytest.mark.parametrize(("name", "target"), CASES)
def test_layers_are_the_references(name: str, target: str) -> None:
    call, place = layer_call(name, target)
    assert place == "CudaVolumes"
    for proved, extreme in ((True, True), (False, False)):
        inputs = random_integers(call, 3, extreme)
        found = CudaVolumes(call, proved)(*inputs)
        assert found.dtype is call.y.grid.dtype and torch.equal(found, ReferenceKernel(call)(*inputs))


def test_large_batches_are_computed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    call, _ = layer_call("transposed_1d", "cuda")
    (q,) = random_integers(call, 4)
    whole = CudaVolumes(call, proved=True)(q)
    asked: list[int] = []

    def fitting(*bytes_of_one: int) -> int:
        asked.append(max(bytes_of_one))
        return 1

    monkeypatch.setattr(volumes, "fitting", fitting)
    assert torch.equal(CudaVolumes(call, proved=True)(q), whole) and asked == [5 * 16] * 3
    assert CudaVolumes(call, proved=True)(q[:0]).shape == (0, 5, 16)


def test_what_the_kernel_does_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    call, _ = layer_call("transposed", "x86")
    assert why_not_volumes(call) is None
    monkeypatch.setattr(volumes, "MOST_PROGRAMS", 3)
    assert why_not_volumes(call) == "it has too many phases for one launch"
    monkeypatch.undo()
    layer = layer_of(call)
    assert layer.bias is not None
    large = replace(layer, bias=layer.bias.clone().fill_(5 - 2**31))
    assert why_not_volumes(replace(call, layer=large)) == "its sums may exceed 32 bits"
