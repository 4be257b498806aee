"""State that the sections of lab 1 share: two small nets as chains, their data, and CIFAR-10 for the VGG."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import torch
from by_hand.quantization import Link
from lab_report import LabReport
from subjects.cifar_subject import CifarSubject, cifar_subject
from torch import Tensor, nn
from vgg.pooled import narrowed, shaped

from fxpasses.models.data.idx_files import idx_splits
from fxpasses.models.model_input import UNIT_RANGE
from fxpasses.models.nets.lenet import LeNet
from speech.keyword_net import KeywordNet, trained_keyword_net
from speech.spoken_digits import read_spoken_digits

WEIGHTS = "mnist_lenet.pt"
CALIBRATION = 256
QUICK_IMAGES, QUICK_TRAINING_IMAGES = 500, 2000
NARROW = 8
TITLES = {"lenet": "LeNet", "keyword": "keyword net"}


@dataclass(frozen=True)
class SmallNet:
    """A float net, its chain, and labelled training and test inputs."""

    net: nn.Module
    chain: tuple[Link, ...]
    training_inputs: Tensor
    training_labels: Tensor
    inputs: Tensor
    labels: Tensor
    train_accuracy: float | None = None

    @property
    def calibration(self) -> Tensor:
        """First training inputs."""
        return self.training_inputs[:CALIBRATION]


@dataclass
class Quantization:
    """The small nets by name, and the VGG; ``scan`` is the loss of each of its layers at each ratio, once measured."""

    report: LabReport
    nets: dict[str, SmallNet]
    vgg: CifarSubject
    scan: dict[str, dict[float, float]] = field(default_factory=dict)

    @property
    def quick(self) -> bool:
        return self.report.settings.quick


def begin(report: LabReport) -> Quantization:
    """Load LeNet and MNIST, train the keyword net on spoken digits, and the VGG on CIFAR-10 if it has no weights."""
    vgg = cifar_subject(report, shaped, partial(narrowed, NARROW), UNIT_RANGE, report.settings.weights)
    return Quantization(report, {"lenet": _lenet(report), "keyword": _keyword(report)}, vgg)


def _lenet(report: LabReport) -> SmallNet:
    data = report.settings.data
    net = LeNet()
    net.load_state_dict(torch.load(data / "models" / WEIGHTS, weights_only=True))
    training, held_out = idx_splits(data / "mnist", f"mnist={data / 'mnist'}")
    images = torch.arange(QUICK_IMAGES if report.settings.quick else len(held_out))
    seen = torch.arange(QUICK_TRAINING_IMAGES if report.settings.quick else len(training))
    inputs, trained_on = UNIT_RANGE(held_out.inputs(images)), UNIT_RANGE(training.inputs(seen))
    labels, seen_labels = held_out.labels[images], training.labels[seen]
    return SmallNet(net.eval(), lenet_chain(net), trained_on, seen_labels, inputs, labels)


def lenet_chain(net: LeNet) -> tuple[Link, ...]:
    """Chain of LeNet."""
    return (
        Link("conv1", net.conv1),
        Link("pool1", pools=True),
        Link("conv2", net.conv2),
        Link("pool2", pools=True),
        Link("flatten"),
        Link("fc1", net.fc1, relu=True),
        Link("fc2", net.fc2),
    )


def _keyword(report: LabReport) -> SmallNet:
    data = read_spoken_digits(report.settings.data / "spoken_digits")
    net = trained_keyword_net(data, epochs=10 if report.settings.quick else 30)
    on_training = accuracy_of(net, data.inputs, data.labels)
    labelled = (data.inputs, data.labels, data.test_inputs, data.test_labels)
    return SmallNet(net, keyword_chain(net), *labelled, on_training)


def keyword_chain(net: KeywordNet) -> tuple[Link, ...]:
    """Chain of the keyword net."""
    return (Link("conv", net.conv, relu=True), Link("flatten"), Link("linear", net.linear))


@torch.no_grad()
def accuracy_of(net: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Top-1 in percent of a net."""
    return top1(torch.cat([net(part) for part in torch.split(inputs, 250)]), labels)


def top1(logits: Tensor, labels: Tensor) -> float:
    """Top-1 in percent of logits."""
    return 100 * (logits.argmax(1) == labels).double().mean().item()
