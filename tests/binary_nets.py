"""A small network for binary weights, trained and converted once for all tests that use it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.binary import BinaryTraining, binarize, deploy, quantize_binary, train_binary
from fxpasses.models.nets.binary_nets import BinaryConnectCifar, MnistMlp, XnorLeNet
from fxpasses.models.nets.bireal_cifar import BiRealCifar
from fxpasses.models.training.settle import settle
from fxpasses.quantization.config import QuantConfig

SMALL = QuantConfig(target="x86", observer="minmax")
DIGITS, IMAGES = (4, 1, 28, 28), (4, 3, 32, 32)


@dataclass(frozen=True)
class Made:
    """A network after each step."""

    float_graph: fx.GraphModule
    binary: fx.GraphModule
    deployed: fx.GraphModule
    int8: fx.GraphModule
    inputs: Tensor


def inputs_of(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


def network(method: str) -> tuple[nn.Module, tuple[int, ...]]:
    """The smallest network of the form that each method is for."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if method == "xnor":
            return XnorLeNet(widths=(4, 16, 32)), DIGITS
        if method == "bireal":
            return BiRealCifar((8, 16), blocks=1), IMAGES
        if method in ("bwn", "binaryconnect-stochastic"):
            return BinaryConnectCifar((8, 16), (True, True), (16,)), IMAGES
        return MnistMlp(32), DIGITS


@cache
def made(method: str) -> Made:
    """The network of a method, trained for three steps, deployed and quantized."""
    model, shape = network(method)
    inputs = inputs_of(shape)
    graph = fxpasses.capture(settle(model, 0).eval(), inputs)
    binary = binarize(graph, method)
    labels = torch.arange(len(inputs))
    settings = BinaryTraining(epochs=1, scaled_steps=method.startswith("binaryconnect"))
    train_binary(binary, lambda epoch: [(inputs, labels)] * 3, settings, steps_per_epoch=3)
    deployed = deploy(binary)
    return Made(graph, binary, deployed, quantize_binary(deployed, [inputs], SMALL), inputs)
