"""Networks of the low-bit lab: trained, deployed, and measured in the form of their files."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.binary import BinaryTraining, binarize, deploy, quantize_binary, train_binary
from fxpasses.export import parity, save
from fxpasses.export.packed_file import save_packed
from fxpasses.micronet.api import MicroNetScore, score
from fxpasses.models.nets.binary_nets import BinaryConnectCifar, XnorCifar
from fxpasses.models.nets.bireal_cifar import BiRealCifar
from fxpasses.models.training.evaluation import evaluate_top1
from low_bits.mini_cifar import Images

BATCH = 100
CALIBRATION = 200
EXAMPLE = torch.zeros(2, 3, 32, 32)


@dataclass(frozen=True)
class Plan:
    """Plan of a network: the module, and its training.

    Attributes:
        name: name in tables.
        method: method of :func:`fxpasses.binary.binarize`; None for a float network.
        build: makes the module, always with the same weights.
        training: settings of the training.
    """

    name: str
    method: str | None
    build: Callable[[], nn.Module]
    training: BinaryTraining


@dataclass(frozen=True)
class Measured:
    """Measurements of one network: its float parameters, and the files it is deployed as.

    ``top1`` is that of the trained graph, with its binary weights; ``lsb`` is the largest difference between both
    runtimes, at any integer tensor.
    """

    name: str
    params: int
    top1: float
    int8_top1: float
    float_bytes: int
    shipped_bytes: int
    lsb: int
    score: MicroNetScore


def seeded(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a module whose random weights are the same at every call, in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build().eval()


def trained(plan: Plan, images: Images, checkpoint: Path | None, *, augmented: bool = False) -> fx.GraphModule:
    """Train the graph of a plan; resume if there is a checkpoint."""
    graph = fxpasses.capture(seeded(plan.build), EXAMPLE)
    net = graph if plan.method is None else binarize(graph, plan.method)
    net = net.to(memory_format=torch.channels_last)
    steps = -(-len(images) // BATCH)
    batches = images.shuffled(BATCH, augmented=augmented)
    train_binary(net, batches, plan.training, steps_per_epoch=steps, checkpoint=checkpoint)
    return net.to(memory_format=torch.contiguous_format)


def measured(plan: Plan, net: fx.GraphModule, training: Images, test: Images, folder: Path) -> Measured:
    """Make all measurements of one network."""
    folder.mkdir(parents=True, exist_ok=True)
    batches = [inputs for inputs, _ in training.at(torch.arange(min(CALIBRATION, len(training)))).batches(50)]
    if plan.method is None:
        deployed = net
        int8 = fxpasses.quantize(net, EXAMPLE, batches)
        shipped = save(int8, folder / f"{plan.name}.int8.pt2")
    else:
        deployed = deploy(net)
        int8 = quantize_binary(deployed, batches)
        shipped = save_packed(int8, folder / f"{plan.name}.fxbits")
    float_file = save(fxpasses.capture(seeded(plan.build), EXAMPLE), folder / f"{plan.name}.float.pt2")
    run = fxpasses.export.to_torch(int8)
    report = parity(int8, [next(test.batches(16))[0]])
    return Measured(
        plan.name,
        sum(p.numel() for p in seeded(plan.build).parameters()),
        evaluate_top1(deployed, test.batches()),
        evaluate_top1(run, test.batches()),
        float_file.stat().st_size,
        shipped.stat().st_size,
        max(report.logits.max_lsb, report.max_lsb_at_any_node),
        score(int8),
    )


def cifar_plans(epochs: int, *, quick: bool) -> list[Plan]:
    """Plans of the networks compared on CIFAR-10: one form, float and binary, and the two with binary inputs."""
    widths, hidden = ((16, 32, 64), 64) if quick else ((48, 96, 192), 256)

    def form() -> nn.Module:
        return BinaryConnectCifar(widths, (True, True, True), (hidden,))

    hinge = {"loss": "squared_hinge"}
    settings = [
        ("float", None, form, hinge),
        ("BinaryConnect", "binaryconnect", form, hinge | {"scaled_steps": True}),
        ("BWN", "bwn", form, hinge),
        ("TWN", "twn", form, hinge),
        ("XNOR-Net", "xnor", lambda: XnorCifar(widths, hidden), {}),
        ("Bi-Real", "bireal", lambda: BiRealCifar(widths, 1), {}),
    ]
    return [
        Plan(name, method, build, BinaryTraining(epochs, 3e-3, 1e-5, **extra))  # type: ignore[arg-type]  # its fields
        for name, method, build, extra in settings
    ]


def at_widths(epochs: int, *, quick: bool) -> list[Plan]:
    """Plans of BinaryConnect's network at several widths, for accuracy against size."""
    widths = (8, 32) if quick else (12, 24, 48, 96)

    def plan(width: int) -> Plan:
        build = lambda: BinaryConnectCifar((width, 2 * width, 4 * width), (True,) * 3, (4 * width,))  # noqa: E731 - of this width
        settings = BinaryTraining(epochs, 3e-3, 1e-5, loss="squared_hinge", scaled_steps=True)
        return Plan(f"BinaryConnect, width {width}", "binaryconnect", build, settings)

    return [plan(width) for width in widths]


def with_integers(net: nn.Module, bits: int) -> nn.Module:
    """Copy a net and round its layers' weights to ``bits`` bits for each output; they are still floats."""
    twin = copy.deepcopy(net)
    with torch.no_grad():
        for module in twin.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                module.weight.copy_(_overwritten(module.weight, bits))
    return twin


def _overwritten(weight: Tensor, bits: int) -> Tensor:
    highest = 2 ** (bits - 1) - 1
    scale = weight.abs().flatten(1).amax(1).clamp(min=1e-12).reshape(-1, *[1] * (weight.dim() - 1)) / highest
    overwritten: Tensor = (weight / scale).round().clamp(-highest - 1, highest) * scale
    return overwritten
