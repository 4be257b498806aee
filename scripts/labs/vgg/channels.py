"""Sections of lab 1 on whole channels of the VGG: 30 % of each layer's, in their order or by what reads them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from lab_report import Row
from speech.quantization_state import Quantization
from subjects.measured_model import Subject, flops, in_both_runtimes, latencies
from torch import Tensor, nn
from torch.fx import GraphModule

import fxpasses as fx
from fxpasses.models.training.evaluation import evaluate_top1
from fxpasses.pruning import Masks, find_dependencies, prunable_layers, removal_of_masks, shrink

RATIO = 0.3


def kept_channels(count: int, ratio: float = RATIO) -> int:
    """Number of channels that stay: the nearest whole number."""
    return round(count * (1 - ratio))


def convolutions(gm: GraphModule) -> dict[str, nn.Conv2d]:
    """Convolutions of a chain, in order."""
    return {path: layer for path, layer in prunable_layers(gm).items() if isinstance(layer, nn.Conv2d)}


def read_strengths(gm: GraphModule) -> dict[str, Tensor]:
    """Norm of the next convolution's weights for each channel of each convolution except the last."""
    layers = convolutions(gm)
    return {
        path: torch.linalg.vector_norm(layers[reader].weight.detach(), dim=(0, 2, 3))
        for path, reader in pairwise(layers)
    }


def channel_masks(gm: GraphModule, strengths: Mapping[str, Tensor] | None = None, ratio: float = RATIO) -> Masks:
    """Masks that keep some channels of each convolution except the last: the first ones, or those with the largest
    norm.
    """
    masks = {}
    for path, layer in list(convolutions(gm).items())[:-1]:
        count = layer.out_channels
        order = torch.arange(count) if strengths is None else strengths[path].argsort(descending=True, stable=True)
        mask = torch.zeros(count, dtype=torch.bool)
        mask[order[: kept_channels(count, ratio)]] = True
        masks[path] = mask
    return Masks(masks)


def without_channels(gm: GraphModule, masks: Masks) -> GraphModule:
    """Remove the channels that masks prune."""
    return shrink(removal_of_masks(find_dependencies(gm), masks))


def channel_pruning(lab: Quantization) -> None:
    """9. Whole channels pruned

    30 % of the channels of each convolution but the last: the last ones of each, then those that the next convolution
    reads least; fine-tuned, and compared in accuracy, multiply-accumulates, parameters and time.
    """
    vgg, report, where = lab.vgg, lab.report, "channel pruning"
    dense = vgg.captured
    unsorted = without_channels(dense, channel_masks(dense))
    by_norm = without_channels(dense, channel_masks(dense, read_strengths(dense)))
    report.answer("9.1", "30 % of channels, not sorted: accuracy", evaluate_top1(unsorted, vgg.batches()), "%", where)
    report.answer("9.2", "30 % of channels, sorted: accuracy", evaluate_top1(by_norm, vgg.batches()), "%", where)
    vgg.train(by_norm, 1 if lab.quick else 5, 0.01)
    report.answer("9.3", "sorted and fine-tuned: accuracy", evaluate_top1(by_norm, vgg.batches()), "%", where)
    _compare(lab, {"dense": vgg.fused, "pruned": fx.fuse(by_norm)})
    report.remark(
        "A layer that loses 30 % of its channels on both sides keeps 0.7 x 0.7 = 49 % of its products; time follows as "
        "far as kernels still fill their vectors."
    )
    report.remark(
        "Zeros among single weights shrink a file and no dense kernel's time; channels take their products with them, "
        "and cost more accuracy before fine-tuning."
    )


def _compare(lab: Quantization, graphs: Mapping[str, GraphModule]) -> None:
    folder, report, where = lab.report.settings.out / "files", lab.report, "before and after"
    subjects: dict[str, Subject] = {
        name: in_both_runtimes(f"vgg_{name}", "fp32", graph, folder)[1] for name, graph in graphs.items()
    }
    times = latencies(list(subjects.values()), lab.vgg.make_input, (1,), runs=2 if lab.quick else 5)
    dense, pruned = (
        (flops(graphs[name]) // 2, subjects[name].params, times[subjects[name].name, 1].mean_ms)
        for name in ("dense", "pruned")
    )
    rows: list[Row] = []
    for number, (what, unit) in enumerate((("multiply-accumulates", ""), ("parameters", ""), ("time", "ms"))):
        before, after = dense[number], pruned[number]
        report.answer(f"9.{4 + 3 * number}", f"{what} before", before, unit, where)
        report.answer(f"9.{5 + 3 * number}", f"{what} after", after, unit, where)
        report.answer(f"9.{6 + 3 * number}", f"{what}: before / after", before / after, "", where)
        rows.append([what, before, after, before / after])
    report.table(where, ("", "before", "after", "ratio"), rows)
