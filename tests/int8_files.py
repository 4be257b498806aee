"""Tiny int8 nets as files: each is exported once for all tests, and run as in deployment."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from made_once import made_once
from numpy.typing import NDArray
from tiny_graphs import fresh_inputs, quantized
from tiny_nets.all_nets import TINY
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.export.exact_sums import set_exact_sums

ENDS_IN_FLOATS = frozenset({"squeeze_excite"})
"""Nets that end in a product of floats, since only the caller reads it; the runtimes round it differently."""
NETS = (
    "conv_bn_relu",
    "residual_block",
    "cat",
    "squeeze_excite",
    "channel_shuffle",
    "linear_on_image",
    "residual_padded_shortcut",
    "conv_depthwise_bn_relu6",
    "adaptive_pool_to_1",
    "embedding_linear",
    "two_outputs",
)
"""One of every kind: conv-relu, add, concat, gate, reshape, matmul, pad, depthwise, average, table, two outputs."""

BATCH = 3
"""Batch size, different from that of the example inputs."""


class ImageNet3(nn.Module):
    """Images of 3 channels, a convolution that pads, a pool and a linear head; ``[B, 3, 9, 7]`` to ``[B, 4]``."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.linear = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(self.conv(x).relu().mean((2, 3)))
        return out


@cache
def image_net() -> fx.GraphModule:
    """:class:`ImageNet3` as QUANTIZED graph; not to be changed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ImageNet3().eval()
        images = torch.randn(16, 3, 9, 7)
    return fxpasses.quantize(model, images[:2], images.split(4))


def inputs_of(name: str, batch: int = BATCH, seed: int = 99) -> tuple[Tensor, ...]:
    return fresh_inputs(TINY[name], seed, batch)


@cache
def file_of(name: str) -> bytes:
    """The int8 QDQ file of a tiny net."""
    return made_once(f"{name}.int8.onnx", lambda path: path.write_bytes(exported(quantized(name)))).read_bytes()


@cache
def image_file() -> bytes:
    """The int8 QDQ file of :func:`image_net`."""
    return exported(image_net())


def exported(gm: fx.GraphModule, **settings: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return fxpasses.export.to_onnx(gm, Path(folder) / "model.onnx", **settings).read_bytes()


def model_of(content: bytes) -> onnx.ModelProto:
    model: onnx.ModelProto = onnx.load_model_from_string(content)
    return model


def run_file(content: bytes, inputs: tuple[Any, ...]) -> list[Tensor]:
    """Outputs of an ONNX file in onnxruntime, with the option that it needs on this machine."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    set_exact_sums(options, model_of(content))
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs()]
    feed: dict[str, NDArray[Any]] = {name: np.asarray(x) for name, x in zip(names, inputs, strict=True)}
    return [torch.from_numpy(y) for y in session.run(None, feed)]


def are_equal(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    """Whether two results are equal bit for bit."""
    return all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
