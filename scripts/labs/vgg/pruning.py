"""Sections of lab 1 on the VGG: histograms, single weights pruned by sensitivity, whole channels, and what it saves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lab_report import Row
from speech.quantization_state import Quantization
from subjects.measured_model import flops
from torch import Tensor
from torch.fx import GraphModule

from fxpasses.measure.model_size import count_parameters
from fxpasses.models.training.evaluation import evaluate_top1
from fxpasses.pruning import Masks, apply_masks, make_masks, prunable_layers, reapply_masks
from fxpasses.sensitivity import PruneChoice, Scorer, prune_targets, score_pruned
from fxpasses.sensitivity.search.ratio_search import ratios_within

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RATIOS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
SIZE_BUDGET = 0.25
BYTES_PER_WEIGHT = 4
MIB = 2**20
BUDGETS = tuple(0.1 * 1.1**step for step in range(73))
"""Points that each layer alone may lose, 0.1 to 96; the first at which the net is small enough is taken."""


def dense_vgg(lab: Quantization) -> None:
    """6. The VGG before pruning

    Accuracy, size of its weights in float32, parameters, multiply-accumulates; histograms of weights by layer.
    """
    vgg, report, where = lab.vgg, lab.report, "weights_vgg.png"
    graph = vgg.captured
    params = count_parameters(graph).params
    layers = prunable_layers(graph)
    report.answer("6.1", "dense VGG: accuracy", evaluate_top1(vgg.net, vgg.batches()), "%", "vgg layers")
    report.answer("6.2", "dense VGG: size", BYTES_PER_WEIGHT * params / MIB, "MiB", "vgg layers")
    report.answer("6.3", "dense VGG: parameters", params, "", "vgg layers")
    report.answer("6.4", "dense VGG: multiply-accumulates", flops(vgg.fused) // 2, "", "vgg layers")
    rows: list[Row] = []
    for number, (path, layer) in enumerate(layers.items(), 1):
        weight: Tensor = layer.weight.detach()
        share = (weight.abs() < weight.std()).double().mean().item()
        rows.append([path, weight.numel(), 100 * weight.numel() / params, 100 * share])
        report.answer(f"6.5.{number}", f"{path}: weights within one deviation of zero", 100 * share, "%", where)
        report.answer(f"6.6.{number}", f"{path}: parameters", weight.numel(), "", "parameters_vgg.png")
    report.table("vgg layers", ("layer", "parameters", "% of all", "% within a deviation"), rows)
    weights = {path: layer.weight.detach() for path, layer in layers.items()}
    sizes = [(path, weight.numel()) for path, weight in weights.items()]
    report.plot("weights_vgg", lambda axes: _weights(axes, weights))
    report.plot("parameters_vgg", lambda axes: _bars(axes, sizes, "parameters"))


def _weights(axes: Axes, weights: Mapping[str, Tensor]) -> None:
    for path, weight in weights.items():
        axes.hist(weight.flatten().numpy(), bins=100, density=True, histtype="step", label=path)
    axes.set(xlabel="weight", ylabel="density", yscale="log")
    axes.legend(fontsize=6)


def _bars(axes: Axes, heights: Sequence[tuple[str, float]], what: str) -> None:
    names = [name for name, _ in heights]
    axes.bar(range(len(names)), [height for _, height in heights])
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=6)
    axes.set(ylabel=what)


def sensitivity_scan(lab: Quantization) -> None:
    """7. Sensitivity of each layer to pruning of single weights

    Every layer alone at 40 to 90 %: does accuracy fall with the share, do layers react alike, which one most?
    """
    vgg, report, where = lab.vgg, lab.report, "sensitivity_vgg.png"
    scorer = Scorer(vgg.captured, vgg.batches)
    whole = scorer.float_score.quality
    for layer in prune_targets(vgg.captured):
        lab.scan[layer.path] = {
            ratio: whole - score_pruned(vgg.captured, scorer, {layer.path: ratio}, PruneChoice()).quality
            for ratio in RATIOS
        }
    rows: list[Row] = [[path, *(whole - drop for drop in drops.values())] for path, drops in lab.scan.items()]
    report.table("sensitivity", ("layer", *(f"{ratio:.0%}" for ratio in RATIOS)), rows)
    report.plot("sensitivity_vgg", lambda axes: _curves(axes, lab.scan, whole))
    at_most = {path: drops[RATIOS[-1]] for path, drops in lab.scan.items()}
    falling = sum(drops[RATIOS[-1]] >= drops[RATIOS[0]] for drops in lab.scan.values())
    worst = max(at_most, key=lambda path: at_most[path])
    report.answer("7.1", "layers that lose no less at 90 % than at 40 %", falling, f"of {len(rows)}", where)
    apart = max(at_most.values()) - min(at_most.values())
    report.answer("7.2", "how far layers lie apart at 90 %", apart, "points", where)
    report.answer("7.3", f"the most sensitive layer, {worst}: points lost at 90 %", at_most[worst], "points", where)


def _curves(axes: Axes, scan: Mapping[str, Mapping[float, float]], whole: float) -> None:
    for path, drops in scan.items():
        axes.plot(list(drops), [whole - drop for drop in drops.values()], marker="o", label=path)
    axes.axhline(whole, linestyle="--", linewidth=1, color="black")
    axes.set(xlabel="share of the layer pruned", ylabel="top-1 %")
    axes.legend(fontsize=6)


def zeros_of(count: int, sparsity: float) -> int:
    """Number of pruned weights among ``count``: the nearest whole number."""
    return round(count * sparsity)


def fine_grained_masks(gm: GraphModule, sparsities: Mapping[str, float]) -> Masks:
    """Masks of the smallest weights of each layer, in the number given by :func:`zeros_of`."""
    layers = prunable_layers(gm)
    counts = {path: layers[path].weight.numel() for path in sparsities}
    exact = {path: zeros_of(counts[path], sparsity) / counts[path] for path, sparsity in sparsities.items()}
    return make_masks(gm, exact)


def chosen_sparsities(scan: Mapping[str, Mapping[float, float]], sizes: Mapping[str, int]) -> dict[str, float]:
    """Ratio of every layer for one budget of points: the smallest budget that leaves 25 % of all weights."""
    found = dict.fromkeys(scan, RATIOS[-1])
    for budget in BUDGETS:
        ratios = ratios_within(scan, budget)
        left = sum(size * (1 - ratios.get(path, 0.0)) for path, size in sizes.items())
        if left <= SIZE_BUDGET * sum(sizes.values()):
            return ratios
    return found


def fine_grained_pruning(lab: Quantization) -> None:
    """8. Single weights pruned to a quarter of the size

    A share for each layer from its own curve, then fine-tuning with the zeros kept.
    """
    vgg, report, where = lab.vgg, lab.report, "chosen sparsities"
    sizes = {path: layer.weight.numel() for path, layer in prunable_layers(vgg.captured).items()}
    ratios = chosen_sparsities(lab.scan, sizes)
    masked = apply_masks(vgg.captured, fine_grained_masks(vgg.captured, ratios))
    before, count = evaluate_top1(masked, vgg.batches()), count_parameters(masked)
    vgg.train(masked, 1 if lab.quick else 5, 0.01, lambda: reapply_masks(masked))
    after, kept = evaluate_top1(masked, vgg.batches()), count_parameters(masked)
    rows: list[Row] = [[path, sizes[path], 100 * ratio] for path, ratio in ratios.items()]
    report.table(where, ("layer", "parameters", "pruned %"), rows)
    report.answer("8.1", "size of what is left, in % of the dense net", 100 * count.nonzero / count.params, "%", where)
    report.answer("8.2", "sparse net: size of its weights", BYTES_PER_WEIGHT * count.nonzero / MIB, "MiB", where)
    report.answer("8.3", "sparse net: accuracy before fine-tuning", before, "%", where)
    report.answer("8.4", "sparse net: accuracy after fine-tuning", after, "%", where)
    grown = 100 * (kept.nonzero - count.nonzero) / count.params
    report.answer("8.5", "weights that fine-tuning took back from zero", grown, "% of all", where)
    for number, (path, ratio) in enumerate(ratios.items(), 1):
        report.answer(f"8.6.{number}", f"{path}: share pruned", 100 * ratio, "%", where)
