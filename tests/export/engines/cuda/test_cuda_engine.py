"""Whole nets in Triton's interpreter give the reference's integers, and a note for each call without a kernel."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from interpreted import load_kernels
from tiny_graphs import calibration_data, exact_outputs, fresh_inputs, outputs_of, quantize_net, quantized
from tiny_nets.all_nets import TINY
from tiny_nets.net import OneInput, tiny
from torch import nn

import fxpasses
from fxpasses.errors import InputError
from fxpasses.export.engines.cuda.layers import CudaConv, WithSum
from fxpasses.export.engines.cuda.net import IN_FLOAT, MOVED, CudaNet
from fxpasses.export.engines.cuda.on_host import OnHost
from fxpasses.export.engines.cuda.pointwise import CudaAdd
from fxpasses.export.engines.reference import ReferenceKernel
from fxpasses.export.torch_int8 import to_torch
from fxpasses.models.training.settle import settle
from fxpasses.quantization.config import QuantConfig

pytestmark = pytest.mark.usefixtures("interpreter")

CUDA = QuantConfig(target="cuda", observer="minmax")
FEW = ("residual_block", "squeeze_excite", "attention", "conv3d_bn_relu")


def on_gpu(name: str, config: QuantConfig = CUDA) -> CudaNet:
    net = to_torch(quantized(name, config), "cuda", device="cpu")
    assert isinstance(net, CudaNet)
    return net


def assert_exact(name: str, config: QuantConfig) -> None:
    inputs = fresh_inputs(TINY[name], 1)
    found, expected = outputs_of(on_gpu(name, config), inputs), exact_outputs(quantized(name, config), inputs)
    assert len(found) == len(expected) and all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", FEW)
def test_tiny_nets_are_exact(name: str) -> None:
    assert_exact(name, CUDA)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["cuda", "x86"])
@pytest.mark.parametrize("name", TINY)
def test_all_tiny_nets_are_exact(name: str, target: str) -> None:
    assert_exact(name, QuantConfig(target=target, observer="minmax"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_known_nets_are_exact_on_small_images(name: str) -> None:
    from torchvision import models

    generator = torch.Generator().manual_seed(0)
    data = torch.randn(4, 3, 32, 32, generator=generator)
    torch.manual_seed(0)
    model = settle(models.get_model(name, weights=None, num_classes=10), 0, (data,)).eval()
    gm = fxpasses.quantize(model, (data,), [data], CUDA)
    net = to_torch(gm, "cuda", device="cpu")
    x = torch.randn(2, 3, 32, 32, generator=generator)
    (found,), (expected,) = outputs_of(net, (x,)), exact_outputs(gm, (x,))
    assert torch.equal(found, expected) and net.notes == ()


def test_a_sum_goes_into_the_layer_before_it() -> None:
    kinds = [type(m) for m in on_gpu("residual_block").net.children()]
    # the second block's sum is the caller's, in float
    assert kinds.count(WithSum) == 1 and CudaAdd not in kinds and kinds.count(CudaConv) == 3


def test_a_sum_stays_where_others_read_the_layer() -> None:
    def body(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
        y = net.a(x)  # type: ignore[operator]  # a submodule
        return net.b(y + torch.relu(x)) + net.b(y)  # type: ignore[operator,no-any-return]  # a submodule

    parts = {"a": nn.Conv2d(5, 5, 1), "b": nn.Conv2d(5, 4, 1)}
    gm = quantize_net(tiny("shared", lambda: OneInput(body, **parts), (1, 5, 4, 3)), CUDA)
    net = to_torch(gm, "cuda", device="cpu")
    assert isinstance(net, CudaNet)
    assert CudaAdd in [type(m) for m in net.net.children()]
    x = torch.randn(1, 5, 4, 3)
    assert torch.equal(outputs_of(net, (x,))[0], exact_outputs(gm, (x,))[0])


def test_what_has_no_kernel_is_computed_exactly_and_named() -> None:
    net = on_gpu("interpolate_bilinear")
    assert [type(m) for m in net.net.children() if isinstance(m, OnHost)] == [OnHost]
    why = "there is no kernel for interpolate; the exact reference computes it on the CPU"
    assert net.notes == (f"interpolate_1_int8: {why}",) and net.placement["interpolate_1_int8"] == why


class VisionTransformer(nn.Module):
    """Patches with a class token and positions, one layer of attention, one of perceptrons, an average of tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.token = nn.Conv2d(3, 8, 2, 2), nn.Parameter(torch.randn(1, 1, 8))
        self.positions, self.norm = nn.Parameter(torch.randn(1, 7, 8)), nn.LayerNorm(8)
        self.qkv, self.out, self.head = nn.Linear(8, 24), nn.Linear(8, 8), nn.Linear(8, 5)
        self.perceptrons = nn.Sequential(nn.Linear(8, 12), nn.GELU(), nn.Linear(12, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        count = tokens.shape[0]
        tokens = torch.cat((self.token.expand(count, -1, -1), tokens), 1) + self.positions
        q, k, v = self.qkv(self.norm(tokens)).reshape(count, 7, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = (q @ k.transpose(-2, -1) * 0.5).softmax(-1) @ v
        tokens = tokens + self.out(mixed.transpose(1, 2).reshape(count, 7, 8))
        y: torch.Tensor = self.head((tokens + self.perceptrons(tokens)).mean(1))
        return y


def _u_net(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    wide = torch.relu(net.a(x))  # type: ignore[operator]  # a submodule
    deep = net.up(torch.relu(net.b(wide)))  # type: ignore[operator]  # a submodule
    y: torch.Tensor = net.c(torch.cat((deep, wide), 1))  # type: ignore[operator]  # a submodule
    return y


def _video_net(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    first = F.max_pool3d(torch.relu(net.a(x)), (1, 2, 2))  # type: ignore[operator]  # a submodule
    y: torch.Tensor = net.head(torch.relu(net.b(first) + first).mean((2, 3, 4)))  # type: ignore[operator]  # a submodule
    return y


WHOLE = {
    "vision_transformer": tiny("vision_transformer", VisionTransformer, (2, 3, 4, 6)),
    "u_net": tiny("u_net", lambda: OneInput(_u_net, a=nn.Conv2d(3, 6, 3, padding=1), b=nn.Conv2d(6, 8, 3, 2, 1),
                                            up=nn.ConvTranspose2d(8, 6, 2, 2), c=nn.Conv2d(12, 4, 1)), (2, 3, 6, 4)),
    "video_net": tiny("video_net", lambda: OneInput(_video_net, a=nn.Conv3d(3, 6, 3, (1, 2, 2), 1),
                                                    b=nn.Conv3d(6, 6, 3, 1, 1), head=nn.Linear(6, 4)), (2, 3, 2, 8, 8)),
}  # fmt: skip


@pytest.mark.parametrize("target", ["cuda", pytest.param("x86", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", WHOLE)
def test_nets_of_other_kinds_run_in_kernels_alone(name: str, target: str) -> None:
    gm = quantize_net(WHOLE[name], QuantConfig(target=target, observer="minmax"))
    net = to_torch(gm, "cuda", device="cpu")
    inputs = fresh_inputs(WHOLE[name], 1, batch=3)
    assert isinstance(net, CudaNet) and net.notes == ()
    assert all(torch.equal(a, b) for a, b in zip(outputs_of(net, inputs), exact_outputs(gm, inputs), strict=True))
    of_layers = {place for place in net.placement.values() if place not in (MOVED, IN_FLOAT)}
    expected = {
        "vision_transformer": {"CudaMatmul", "CudaMean", "CudaAdd", "CudaCat", "CudaTable"},
        "u_net": {"CudaVolumes", "CudaCat"},
        "video_net": {"CudaVolumes", "CudaMean"},
    }
    assert expected[name] <= of_layers
    assert (IN_FLOAT in net.placement.values()) == (name == "vision_transformer" or target == "cuda")


def test_a_constant_of_one_sample_is_added_to_every_sample_by_the_layer() -> None:
    """Seen with a batch of 1, it is of the layer's own shape."""

    def body(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return net.last(net.layer(x) + net.positions)  # type: ignore[operator,no-any-return]  # submodules

    layer, last, positions = nn.Linear(6, 8), nn.Linear(8, 3), torch.randn(1, 5, 8)
    built = OneInput(body, layer=layer, last=last, positions=positions)
    gm = quantize_net(tiny("positions", lambda: built, (1, 5, 6)), CUDA)
    net, x = to_torch(gm, "cuda", device="cpu"), torch.randn(3, 5, 6)
    assert isinstance(net, CudaNet) and WithSum in [type(m) for m in net.net.children()]
    assert torch.equal(outputs_of(net, (x,))[0], exact_outputs(gm, (x,))[0])


def test_a_layer_of_one_sample_is_not_the_sums() -> None:
    def body(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return net.last(net.layer(x[:1]) + torch.relu(net.layer(x)))  # type: ignore[operator,no-any-return]  # submodules

    parts = {"layer": nn.Linear(6, 8), "last": nn.Linear(8, 3)}
    gm = quantize_net(tiny("repeated", lambda: OneInput(body, **parts), (2, 5, 6)), CUDA)
    net, x = to_torch(gm, "cuda", device="cpu"), torch.randn(2, 5, 6)
    assert torch.equal(outputs_of(net, (x,))[0], exact_outputs(gm, (x,))[0])


def test_sums_of_more_than_32_bits_are_the_references() -> None:
    gm = copy.deepcopy(quantized("conv_bn_relu", CUDA))
    bias = next(b for b in gm.buffers() if b.dtype is torch.int32)
    bias[0] = 2**31 - 1
    net, inputs = to_torch(gm, "cuda", device="cpu"), fresh_inputs(TINY["conv_bn_relu"], 1)
    assert isinstance(net, CudaNet) and "its sums may exceed 32 bits" in net.notes[0]
    assert torch.equal(outputs_of(net, inputs)[0], exact_outputs(gm, inputs)[0])


def test_other_batches_names_copies_and_pickles() -> None:
    net = on_gpu("conv_bn_relu")
    (x,) = fresh_inputs(TINY["conv_bn_relu"], 3, batch=1)
    (expected,) = exact_outputs(quantized("conv_bn_relu", CUDA), (x,))
    for twin in (net, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):  # noqa: S301  # our own bytes
        assert torch.equal(twin(x), expected) and not twin.training
    assert calibration_data(TINY["conv_bn_relu"])


def test_without_an_interpreter_a_cpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    load_kernels(monkeypatch, interpreted=False)
    try:
        with pytest.raises(InputError, match=r"device 'cpu' for engine 'cuda'\n.*run on NVIDIA GPUs\n.*'reference'"):
            to_torch(quantized("conv_bn_relu", CUDA), "cuda", device="cpu")
    finally:
        load_kernels(monkeypatch, interpreted=True)
    # the remedy
    assert ReferenceKernel in {type(m) for m in to_torch(quantized("conv_bn_relu", CUDA), "reference").modules()}
