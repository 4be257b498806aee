"""``fxpasses prune``: turn a float model into a smaller one, with its int8 form and a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..options import shared
from ..options.pruning import PruneOptions
from ..options.source import MeasureOptions, SourceOptions
from ..options.table import takes_groups
from ..terminal import Terminal, open_terminal

if TYPE_CHECKING:
    from ..pruning.prune_model import PruneOutcome


@takes_groups
def prune_command(
    source: SourceOptions,
    out: shared.Out,
    options: PruneOptions,
    measuring: MeasureOptions,
    json: shared.Json = None,
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

        from ..given import open_input
        from ..pruning.asked import pruning_of, settings_of
        from ..pruning.prune_model import prune_into
        from ..pruning.ratio_budget import within_drop

        pruning = pruning_of(options, source.seed)
        settings = settings_of(options, measuring, source.seed)
        with staged_folder(out) as stage:
            given = open_input(source.chosen_model, source.chosen_data, terminal)
            if options.max_drop is not None:
                pruning = within_drop(stage, given, pruning, options.max_drop, settings, terminal)
            outcome = prune_into(stage, given, pruning, settings, options.quantize, terminal)
        print_prune_outcome(outcome, out, terminal)


def print_prune_outcome(outcome: PruneOutcome, out: Path, terminal: Terminal) -> None:
    """Print the report's tables, the reduction and the folder; set the document that ``--json`` writes.

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
    """Lines for the terminal: parameters, size and MACs before and after pruning."""
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
