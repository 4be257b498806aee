"""Whole nets in Triton's interpreter give the reference's integers, and a note for each call without a kernel."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from interpreted import load_kernels
from tiny_graphs import calibration_data, exact_outputs, fresh_inputs, outputs_of, quantize_net, quantized
from tiny_nets.all_nets import TINY
from tiny_nets.net import OneInput, tiny
from torch import nn

import fxpasses
from fxpasses.errors import InputError
from fxpasses.export.engines.cuda.layers import CudaConv, WithSum
from fxpasses.export.engines.cuda.net import CudaNet
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
    net = on_gpu("conv3d_bn_relu")
    assert [type(m) for m in net.net.children() if isinstance(m, OnHost)] == [OnHost]
    assert net.notes == ("relu_int8: there is no kernel for conv3d; the exact reference computes it on the CPU",)


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
