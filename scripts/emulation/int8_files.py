"""The int8 files under test: nets, targets, their inputs, and their results by exact integer arithmetic.

A folder ``NET/TARGET`` holds ``model.onnx``, ``model.pt2``, ``inputs.npz`` and ``exact.npz``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

import fxpasses
from fxpasses.agreement.output_steps import output_lsbs
from fxpasses.errors import InputError
from fxpasses.export.exact_sums import options_of_file
from fxpasses.export.onnx_reader import read_onnx
from fxpasses.models.datasets import open_dataset
from fxpasses.models.zoo import load_model

TARGETS = ("x86", "x86-avx2", "arm")
CALIBRATION_BATCH, BATCH = 8, 10


@dataclass(frozen=True)
class Net:
    """A net, and the number of inputs to try.

    Attributes:
        spec: its spec on the command line, or the name of a tiny net.
        weights, data: names in the folder of real data; None: random weights, noise.
    """

    name: str
    spec: str
    inputs: int
    calibration: int
    weights: str | None = None
    data: str | None = None


TINY_NETS = tuple(
    Net(f"tiny {kind}", spec, inputs=3, calibration=32)
    for kind, spec in {
        "conv": "conv_1x1_head",
        "depthwise": "conv_depthwise_bn_relu6",
        "residual": "residual_block",
        "cat": "cat",
        "squeeze-excite": "squeeze_excite",
        "attention": "attention",
    }.items()
)
RESNET20 = Net("cifar_resnet20", "cifar_resnet20", 50, 128, "cifar10_resnet20.pt", "cifar10=cifar10")
_IMAGENET = "images=imagenet"
LARGE_NETS = (
    Net("mobilenet_v2", "torchvision/mobilenet_v2", 4, 32, "imagenet_mobilenet_v2_bnfolded.pt", _IMAGENET),
    Net("squeezenet1_1", "torchvision/squeezenet1_1", 4, 32, "imagenet_squeezenet1_1.pt", _IMAGENET),
    Net("resnet18", "torchvision/resnet18", 4, 32, None, _IMAGENET),
)


@dataclass(frozen=True)
class Int8File:
    """An int8 model as files.

    Attributes:
        needs: session options of onnxruntime for x86 CPUs whose int8 kernels saturate.
        lsbs: the step of each output; None if it is float.
    """

    net: str
    target: str
    folder: Path
    needs: dict[str, str]
    lsbs: tuple[float | None, ...]
    about: str

    @property
    def name(self) -> str:
        return f"{self.net}, {self.target}"

    def exact(self) -> list[Any]:
        """Outputs by exact integer arithmetic."""
        return arrays_of(self.folder / "exact.npz")


def arrays_of(path: Path) -> list[Any]:
    """Arrays of an .npz file, in order."""
    with np.load(path) as stored:
        return [stored[key] for key in stored.files]


def make_files(net: Net, targets: Sequence[str], folder: Path, data_root: Path | None) -> Iterator[Int8File]:
    """Quantize a net for each target and write its files."""
    module, calibration, inputs, about = _opened(net, data_root)
    for target in targets:
        config = fxpasses.QuantConfig(target=target)
        int8 = fxpasses.quantize(module, tuple(x[:2] for x in inputs), calibration, config)
        yield write_files(int8, inputs, Int8File(net.name, target, folder / net.name / target, {}, (), about))


@torch.inference_mode()
def write_files(int8: fx.GraphModule, inputs: tuple[Tensor, ...], file: Int8File) -> Int8File:
    """Export a QUANTIZED graph and run its exact reference; return ``file`` with its session options and steps."""
    file.folder.mkdir(parents=True)
    fxpasses.export.to_onnx(int8, file.folder / "model.onnx")
    fxpasses.export.save(int8, file.folder / "model.pt2")
    np.savez(file.folder / "inputs.npz", *(x.numpy() for x in inputs))
    reference = fxpasses.export.to_torch(int8, engine="reference")
    batches = zip(*(x.split(BATCH) for x in inputs), strict=True)
    parts = [pytree.tree_leaves(reference(*batch)) for batch in batches]
    np.savez(file.folder / "exact.npz", *(torch.cat(part).numpy() for part in zip(*parts, strict=True)))
    needs = options_of_file(read_onnx(file.folder / "model.onnx"))
    return Int8File(file.net, file.target, file.folder, needs, tuple(output_lsbs(int8)), file.about)


def _opened(net: Net, root: Path | None) -> tuple[nn.Module, list[tuple[Tensor, ...]], tuple[Tensor, ...], str]:
    """The module, calibration batches, inputs to try, and a note on the weights and the data."""
    if net in TINY_NETS:
        from tiny_nets.all_nets import TINY  # a fixture of the tests: every_cpu.py puts them on the path

        tiny = TINY[net.spec]
        shapes = [x.shape[1:] for x in tiny.example_inputs()]
        generator = torch.Generator().manual_seed(1)
        calibration = [
            tuple(torch.randn(CALIBRATION_BATCH, *shape, generator=generator) for shape in shapes)
            for _ in range(net.calibration // CALIBRATION_BATCH)
        ]
        inputs = tuple(torch.randn(net.inputs, *shape, generator=generator) for shape in shapes)
        return tiny.build(), calibration, inputs, "random weights, noise"
    weights = root / "models" / net.weights if root is not None and net.weights else None
    model = load_model(net.spec, weights if weights is not None and weights.is_file() else None)
    spec, data = f"random={'x'.join(map(str, model.input_shape))}", "noise"
    if root is not None and net.data:
        kind, _, place = net.data.partition("=")
        try:
            source, data = open_dataset(f"{kind}={root / place}", model), kind
        except InputError:  # the folder has none, or in another form
            source = open_dataset(spec, model)
    else:
        source = open_dataset(spec, model)
    batches: list[tuple[Tensor, ...]] = [(x,) for x in source.calibration(net.calibration, CALIBRATION_BATCH)]
    images = torch.cat([x for x, _ in source.evaluation(BATCH, net.inputs)])
    about = f"{'trained' if model.pretrained else 'random'} weights, {data}"
    return model.module, batches, (images,), about
