"""A small classifier with data, calibrated once, for the tests of sensitivity and search."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.machine.environment import environment
from fxpasses.models.nets.digits_cnn import DigitsCnn
from fxpasses.models.training.settle import settle
from fxpasses.quantization.config import QuantConfig
from fxpasses.sensitivity.calibrated import Calibrated, calibrate_once
from fxpasses.sensitivity.pages.prune_document import prune_document
from fxpasses.sensitivity.pages.quant_document import quant_document
from fxpasses.sensitivity.prune import (
    LayerScan,
    PruneChoice,
    prune_targets,
    score_pruned,
)
from fxpasses.sensitivity.quant import QuantSensitivity, quant_sensitivity
from fxpasses.sensitivity.scoring import Scorer

IMAGES, BATCH, CLASSES = 48, 24, 10
Batch = tuple[Tensor, Tensor | None]


@cache
def net() -> nn.Module:
    """DigitsCnn with settled random weights; not to be changed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return settle(DigitsCnn(CLASSES, narrow=6, wide=10).eval(), 5)


@cache
def graph() -> fx.GraphModule:
    """FLOAT graph of the classifier as captured; not to be changed."""
    return fxpasses.capture(net(), torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)))


@cache
def evaluation() -> tuple[Batch, ...]:
    """Noise, labelled with the net's own classes, except for every sixth label, which is wrong."""
    images = torch.randn(IMAGES, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        labels = graph()(images).argmax(1)
    labels[::6] = (labels[::6] + 1) % CLASSES
    return tuple(zip(images.split(BATCH), labels.split(BATCH), strict=True))


def unlabelled() -> tuple[Batch, ...]:
    return tuple((images, None) for images, _ in evaluation())


@cache
def calibrated(float_results: bool = True) -> Calibrated:
    """Calibration for int8 on x86, ranges by minmax; not to be changed."""
    batches = [images for images, _ in evaluation()]
    config = QuantConfig(observer="minmax", float_results=float_results)
    return calibrate_once(fxpasses.fuse(graph()), config, batches)


@cache
def scorer() -> Scorer:
    return Scorer(calibrated().float_graph, evaluation)


TOLD: list[tuple[str, int, int]] = []
"""Progress that was told while :func:`sensitivity` was measured."""


@cache
def sensitivity() -> QuantSensitivity:
    """Sensitivity of the calibrated net to int8; not to be changed."""
    return quant_sensitivity(calibrated(), evaluation, progress=lambda *what: TOLD.append(what))


RATIOS = (0.5, 0.9)


@cache
def prune_scorer() -> Scorer:
    return Scorer(graph(), evaluation)


@cache
def scans() -> tuple[LayerScan, ...]:
    choice, found = PruneChoice(), []
    for target in prune_targets(graph(), ["stem", "block2.*", "linear"]):
        scores = {r: score_pruned(graph(), prune_scorer(), {target.path: r}, choice) for r in RATIOS}
        found.append(LayerScan(target, scores))
    return tuple(found)


def made_prune_document() -> dict[str, Any]:
    frame: dict[str, Any] = {"model": "net", "data": "noise", "command": "fxpasses x", "environment": environment()}
    return {**frame, **prune_document(prune_scorer().float_score, scans(), PruneChoice(), prune_targets(graph()))}


def made_quant_document() -> dict[str, Any]:
    frame = {
        "model": "net <&>",
        "data": "noise",
        "target": "x86",
        "command": "fxpasses x",
        "environment": environment(),
    }
    return {**frame, **quant_document(sensitivity())}
