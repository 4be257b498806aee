"""``fxpasses prune``: a float model in; a smaller one, its int8 form and a report out."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..options import pruning as pruning_options
from ..options import shared as options
from ..terminal import Terminal, open_terminal

if TYPE_CHECKING:
    from ..pruning.prune_model import PruneOutcome
    from ..static.quantize_model import Settings


def prune_command(
    model: options.Model,
    data: options.Data,
    out: options.Out,
    weights: options.Weights = None,
    weights_key: options.WeightsKey = None,
    labels: options.Labels = None,
    metric: options.Metric = None,
    image_size: options.ImageSize = None,
    ratio: pruning_options.Ratio = None,
    budget: pruning_options.Budget = None,
    max_drop: pruning_options.MaxDrop = None,
    criterion: pruning_options.Criterion = "l1",
    granularity: pruning_options.Granularity = "channel",
    layers: pruning_options.Layers = None,
    scope: pruning_options.Scope = pruning_options.PruneScope.layer,
    round_to: pruning_options.RoundTo = pruning_options.AUTO,
    keep_joined: pruning_options.KeepJoined = False,
    through_layer_norm: pruning_options.ThroughLayerNorm = False,
    compensate: pruning_options.Compensate = True,
    schedule: pruning_options.Schedule = pruning_options.PruneSchedule.one_shot,
    recipe: pruning_options.Recipe = None,
    fine_tune: pruning_options.FineTune = 0,
    lr: pruning_options.LearningRate = 0.01,
    distill: pruning_options.Distill = False,
    augment: options.Augment = False,
    bf16: options.TrainInBfloat16 = False,
    quantize: Annotated[bool, typer.Option("--quantize", help="Quantize the result to int8.")] = False,
    target: options.Target = "auto",
    calib: options.CalibrationImages = None,
    evaluate: Annotated[
        int,
        typer.Option("--eval", metavar="N", max=options.MOST_IMAGES, help="Images to measure accuracy on, at most."),
    ] = 1000,
    bench: Annotated[bool, typer.Option("--bench/--no-bench", help="Measure latency, shortly.")] = True,
    seed: options.Seed = 0,
    threads: options.Threads = None,
    json: options.Json = None,
) -> None:
    """Prune a model, recover its accuracy, and quantize it, in one go.

    Writes model.fp32.onnx, model.fp32.pt2, recipe.json, report.json and report.html into DIR, and with --quantize
    model.int8.onnx and model.int8.pt2. The report measures the dense model in the same run.

    fxpasses prune torchvision/resnet18 --weights resnet18.pth --data images=imagenet --budget macs=0.5
    --quantize --out small
    """
    with open_terminal(json) as terminal:
        terminal.load("torch", "onnx", "onnxruntime")
        from fxpasses.export.files import staged_folder

        from ..folders.folder import DataChoice, ModelChoice
        from ..given import open_input
        from ..pruning.prune_model import prune_into
        from ..pruning.ratio_budget import amount_of, within_drop
        from ..pruning.recipe import read_recipe
        from ..pruning.steps import Pruning

        asked = partial(  # a recipe asks for all of it instead
            Pruning,
            **amount_of(ratio, budget, max_drop),
            criterion=criterion,
            granularity=granularity,
            layers=tuple(layers) if layers else None,
            scope=scope.value,
            **_multiples(round_to, granularity, target),
            keep_joined=keep_joined,
            through_layer_norm=through_layer_norm,
            compensate=compensate,
            schedule=schedule.value,
            epochs=fine_tune,
            learning_rate=lr,
            distill=distill,
            augment=augment,
            bf16=bf16,
            seed=seed,
        )
        pruning = asked() if recipe is None else read_recipe(recipe)
        settings = _run_settings(target, calib, evaluate, bench, threads, seed)
        with staged_folder(out) as stage:
            given = open_input(
                ModelChoice(model, weights, seed, image_size, weights_key), DataChoice(data, labels, metric), terminal
            )
            if max_drop is not None:
                pruning = within_drop(stage, given, pruning, max_drop, settings, terminal)
            outcome = prune_into(stage, given, pruning, settings, quantize, terminal)
        print_prune_outcome(outcome, out, terminal)


def _multiples(round_to: str, granularity: str, target: str) -> dict[str, Any]:
    """``round_to`` and ``finer`` of :class:`fxpasses.cli.pruning.steps.Pruning`; masks leave counts as they are."""
    from fxpasses.pruning.channels.kernel_multiples import channel_multiple

    from ..pruning.steps import CHANNEL

    if round_to != pruning_options.AUTO:
        return {"round_to": int(round_to)}
    return {"round_to": channel_multiple(target), "finer": True} if granularity == CHANNEL else {}


def _run_settings(
    target: str, calib: int | None, evaluate: int, bench: bool, threads: int | None, seed: int
) -> Settings:
    from fxpasses.quantization.config import QuantConfig

    from ..static.quantize_model import Settings

    return Settings(
        config=QuantConfig(target=target),
        calibration_images=calib,
        evaluation_images=evaluate,
        benchmark=bench,
        threads=threads,
        seed=seed,
    )


def print_prune_outcome(outcome: PruneOutcome, out: Path, terminal: Terminal) -> None:
    """The report's tables, what became smaller, and where everything is; for ``--json``, the report itself.

    The command ends with exit code 1 if the two int8 artifacts differ by more than promised.
    """
    from rich.text import Text

    from fxpasses.reports.alerts import broken_promises
    from fxpasses.reports.console import print_report

    from ..folders.artifacts import REPORT_HTML

    terminal.document, console = outcome.report, terminal.results
    terminal.ok = not broken_promises(outcome.report)
    print_report(outcome.report, console)
    for line in pruning_lines(outcome.report["pruning"]):
        console.print(Text(line))
    if outcome.audit is not None:
        console.print(Text(f"audit   {outcome.audit.summary}", style="" if outcome.audit.ok else "yellow"))
    console.print(Text(f"files   in {out}; open {out / REPORT_HTML} in a browser"), soft_wrap=True)


def pruning_lines(account: dict[str, Any]) -> list[str]:
    """What pruning changed, in a few lines."""
    from fxpasses.reports.numbers import bytes_text, count_text, percent_text

    dense, pruned = account["dense"], account["pruned"]
    lines = [
        f"params  {count_text(dense['params'])} -> {count_text(pruned['params'])}, "
        f"of which {percent_text(100 * pruned['sparsity'])} are zero",
        f"size    {bytes_text(dense['size_bytes'])} -> {bytes_text(pruned['size_bytes'])}; "
        f"zipped {bytes_text(dense['compressed_bytes'])} -> {bytes_text(pruned['compressed_bytes'])}",
    ]
    if dense["macs"] and pruned["macs"]:
        left = percent_text(100 * pruned["macs"] / dense["macs"])
        lines.append(f"MACs    {count_text(dense['macs'])} -> {count_text(pruned['macs'])}, {left} left")
    for name, ratio in account["speedup_vs_dense"].items():
        lines.append(
            f"speed   {name}: {ratio['median']:.2f} times as fast as dense ({ratio['q25']:.2f}–{ratio['q75']:.2f})"
        )
    return lines
