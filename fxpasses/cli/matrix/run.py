"""Open the folders, measure, write the files, and print the results."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fxpasses.errors import InputError
from fxpasses.export.files import staged_folder, write_json_atomic, write_text_atomic
from fxpasses.measure.benchmark import BenchSettings
from fxpasses.measure.matrix.device_runner import require_device
from fxpasses.measure.matrix.document import About, matrix_document, read_matrix
from fxpasses.measure.matrix.energy import meters_of
from fxpasses.measure.matrix.imported import imported_rows
from fxpasses.measure.matrix.measuring import AGAIN, measure_matrix
from fxpasses.measure.matrix.variants import DENSE, PRUNED, MatrixVariant, baseline_of
from fxpasses.measure.matrix.verdicts import Change, changes
from fxpasses.measure.runners import OnnxRunner, Runner, TorchRunner, onnx_runner, torch_runner
from fxpasses.reports.matrix.console import print_matrix
from fxpasses.reports.matrix.page import matrix_page
from fxpasses.reports.matrix.texts import matrix_csv, matrix_markdown

from ..folders.bench_input import input_maker
from ..folders.folder import model_details, open_folder
from ..options.bench import MatrixChoice
from ..terminal import Terminal
from .made import FolderVariants

MATRIX_JSON = "matrix.json"
TEXTS = {"matrix.md": matrix_markdown, "matrix.csv": matrix_csv, "matrix.html": matrix_page}


def run_matrix(choice: MatrixChoice, settings: BenchSettings, terminal: Terminal) -> None:
    """Run the whole command; it ends with exit code 1 if a verdict of ``choice.before`` was reversed.

    Raises:
        InputError: a folder, a file to import or the matrix to compare with cannot be used.
    """
    for device in choice.devices:
        require_device(device)
    imported = imported_rows(choice.imported)
    before = None if choice.before is None else read_matrix(choice.before)
    with tempfile.TemporaryDirectory() as scratch:
        document = _measured(choice, settings, imported, Path(scratch), terminal)
    out = choice.out or choice.folder
    with staged_folder(out) as stage:
        write_json_atomic(stage / MATRIX_JSON, document)
        for name, text_of in TEXTS.items():
            write_text_atomic(stage / name, text_of(document))
    terminal.document = document
    print_matrix(document, terminal.results)
    if before is not None:
        _tell_changes(changes(before["rows"], document["rows"]), choice, terminal)
    terminal.results.print(f"files   {', '.join((MATRIX_JSON, *TEXTS))} in {out}", markup=False, soft_wrap=True)


def _measured(
    choice: MatrixChoice, settings: BenchSettings, imported: list[Any], scratch: Path, terminal: Terminal
) -> dict[str, Any]:
    report = open_folder(choice.folder)
    own = PRUNED if "pruning" in report else DENSE
    parts = [FolderVariants(report, choice.folder, own, scratch, choice, terminal)]
    if choice.pruned is not None:
        parts.append(_second(choice, own, scratch, terminal))
    variants = [variant for part in parts for variant in part.variants()]
    require_any(variants, choice.folder, parts[0].notes)
    baseline = baseline_of(variants, choice.baseline)
    meters = meters_of(variant.device for variant in variants)
    make_input = input_maker(model_details(report, choice.folder), parts[0].graph)
    with terminal.step("matrix", settings.runs, timing=True) as step:
        found = measure_matrix(variants, baseline, twin_of(baseline), make_input, settings, meters, step.at)
    notes = [note for part in parts for note in part.notes]
    return matrix_document(found, imported, About(str(report["model"]), choice.command, meters.told(), notes))


def _second(choice: MatrixChoice, own: str, scratch: Path, terminal: Terminal) -> FolderVariants:
    """The folder of the pruned model."""
    assert choice.pruned is not None
    report = open_folder(choice.pruned)
    require_pair(choice.folder, own == PRUNED, choice.pruned, "pruning" in report)
    return FolderVariants(report, choice.pruned, PRUNED, scratch, choice, terminal)


def require_any(variants: Sequence[MatrixVariant], folder: Path, notes: Sequence[str]) -> None:
    """Raise InputError if no requested variant could be made."""
    if not variants:
        why = notes[0] if notes else "no device has what was asked for"
        raise InputError(f"nothing to measure in {folder}", why=why, fix="ask for other precisions or runtimes")


def require_pair(first: Path, first_is_pruned: bool, second: Path, second_is_pruned: bool) -> None:
    """Raise InputError unless the first folder is of a dense model and the second of a pruned one."""
    if first_is_pruned or not second_is_pruned:
        why = f"{first} is of a pruned model itself" if first_is_pruned else f"{second} is of no pruned model"
        raise InputError(
            f"--pruned {second} beside {first}",
            why=why,
            fix="name the dense model's folder first, and after --pruned one that fxpasses prune wrote",
        )


def twin_of(baseline: MatrixVariant) -> Runner:
    """A copy of the baseline's runner: another session of its file, or a copy of its module."""
    runner, name = baseline.runner, f"{baseline.name} {AGAIN}"
    if isinstance(runner, OnnxRunner):
        return onnx_runner(runner.path, runner.precision, name=name)
    if isinstance(runner, TorchRunner):
        return torch_runner(copy.deepcopy(runner.module), runner.precision, name=name)
    return replace(runner, name=name)  # type: ignore[type-var]  # a module on a GPU


def _tell_changes(found: list[Change], choice: MatrixChoice, terminal: Terminal) -> None:
    flips = [change for change in found if change.is_flip]
    if not found:
        terminal.results.print(f"all verdicts are those of {choice.before}", style="green", markup=False)
    for change in found:
        words = f"REVERSED {change}" if change.is_flip else f"changed  {change}"
        terminal.results.print(words, style="bold red" if change.is_flip else "yellow", markup=False, soft_wrap=True)
    terminal.ok = terminal.ok and not flips
