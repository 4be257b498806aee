"""Compares all pruning criteria on one model at one budget, by accuracy without fine-tuning.

    python scripts/compare_criteria.py [MODEL] --weights FILE --data DATA [--budget macs=0.8] [--criteria NAME ...]
                                       [--scopes layer global] [--joined] [--eval N] [--threads N] [--json FILE]

Each criterion scores the channels, and as few as the budget allows are removed. Accuracy is measured three times: after
the removal (``removed``), after the weights left are adjusted (``stood in``), and with new BatchNorm statistics
(``statistics``), as in ``fxpasses prune``. Loss and agreement with the dense model are those of the last step. On a
small test set they distinguish criteria that have the same accuracy. ``--joined`` removes channels of residual streams,
too.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.fx import GraphModule

import fxpasses as fx
from fxpasses.cli.pruning.recovery import recover
from fxpasses.cli.pruning.steps import Pruned, Pruning, moment_batches, score
from fxpasses.cli.terminal import Terminal
from fxpasses.errors import FxPassesError, InputError
from fxpasses.export.files import write_json_atomic
from fxpasses.machine.environment import environment
from fxpasses.measure.accuracy import AccuracySums
from fxpasses.measure.runners import torch_threads
from fxpasses.models.data.data_source import DataSource
from fxpasses.models.datasets import open_dataset
from fxpasses.models.zoo import load_model
from fxpasses.pruning import (
    CRITERIA,
    Budget,
    Dependencies,
    choose_within,
    compensate,
    cost_of,
    find_dependencies,
    shrink,
)
from fxpasses.pruning.channels.brain_surgeon import SURGEON
from fxpasses.pruning.channels.scoring import COMPARABLE
from fxpasses.pruning.masks.selection import Scope

ALL = (*CRITERIA, SURGEON)
SCOPES: tuple[Scope, ...] = ("layer", "global")
BATCH = 100
WIDTH_OF_A_FILE = 120


@dataclass(frozen=True)
class Row:
    """One criterion in one scope; shares are of the dense model, accuracies in percent."""

    criterion: str
    scope: str
    macs: float
    params: float
    removed: float
    stood_in: float
    statistics: float
    loss: float
    agreement: float
    seconds: float


class Trial:
    """One dense model, its data, and its outputs for ``images`` of them."""

    def __init__(self, graph: GraphModule, data: DataSource, images: int) -> None:
        self.graph, self.data, self.images = graph, data, images
        self.dependencies: Dependencies = find_dependencies(graph)
        self.fused = fx.fuse(graph)
        with torch.no_grad():
            self.expected: list[Tensor] = [self.fused(inputs) for inputs, _ in data.evaluation(BATCH, images)]

    def measure(self, network: GraphModule) -> AccuracySums:
        """Measure a network against labels and against the dense model."""
        sums, fused = AccuracySums(), fx.fuse(network)
        with torch.no_grad():
            for (inputs, labels), expected in zip(self.data.evaluation(BATCH, self.images), self.expected, strict=True):
                sums.add(fused(inputs), expected, labels)
        return sums


def try_criterion(trial: Trial, settings: Pruning) -> Row:
    """Prune by a criterion, recover without training, and measure each step."""
    start = time.perf_counter()
    assert settings.budget is not None
    fit = choose_within(
        trial.dependencies,
        settings.budget,
        score(trial.dependencies, trial.data, settings),
        scope=settings.scope,
        keep_joined=settings.keep_joined,
        comparable=settings.criterion in COMPARABLE,
    )
    small = shrink(fit.removal)
    removed = trial.measure(small)
    compensate(fit.removal, small, moment_batches(trial.data, settings))
    stood_in = trial.measure(small)
    recover(Pruned(small), trial.fused, trial.data, settings, silent())
    found = trial.measure(small)
    before, after = cost_of(fit.removal.none()), cost_of(fit.removal)
    return Row(
        criterion=settings.criterion,
        scope=settings.scope,
        macs=round(after.macs / before.macs, 4),
        params=round(after.params / before.params, 4),
        removed=top1(removed),
        stood_in=top1(stood_in),
        statistics=top1(found),
        loss=round(found.mean_loss or 0.0, 4),
        agreement=round(found.comparison().top1_agreement or 0.0, 2),
        seconds=round(time.perf_counter() - start, 1),
    )


def top1(sums: AccuracySums) -> float:
    """Top-1 in percent.

    Raises:
        InputError: there are no labels.
    """
    found = sums.comparison().top1
    if found is None:
        raise InputError("cannot compare criteria", why="the data has no labels", fix="choose labelled data")
    return round(found, 2)


def silent() -> Terminal:
    """Terminal that shows nothing: the steps within a trial need no progress bar."""
    return Terminal(Console(file=io.StringIO()), Console(file=io.StringIO()))


def rows_of(trial: Trial, budget: Budget, arguments: argparse.Namespace) -> Iterator[Row]:
    """Run one trial after the other and yield its row."""
    for criterion in arguments.criteria:
        for scope in arguments.scopes:
            settings = Pruning(
                budget=budget, criterion=criterion, scope=scope, keep_joined=not arguments.joined, seed=arguments.seed
            )
            yield try_criterion(trial, settings)


def table_of(title: str, rows: Sequence[Row]) -> Table:
    """Table of the rows, the best last measurement first."""
    table = Table(title=title)
    table.add_column("criterion")
    table.add_column("scope")
    for heading in ("MACs", "params", "removed", "stood in", "statistics", "loss", "agreement", "s"):
        table.add_column(heading, justify="right")
    for row in sorted(rows, key=lambda row: (-row.statistics, row.loss)):
        shares = (f"{100 * row.macs:.1f} %", f"{100 * row.params:.1f} %")
        accuracies = (f"{value:.1f} %" for value in (row.removed, row.stood_in, row.statistics))
        table.add_row(
            row.criterion,
            row.scope,
            *shares,
            *accuracies,
            f"{row.loss:.3f}",
            f"{row.agreement:.1f} %",
            f"{row.seconds:.0f}",
        )
    return table


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="cifar_resnet56", metavar="MODEL")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="a state dict; without it the weights are random")
    parser.add_argument("--data", required=True, metavar="DATA", help="cifar10=DIR, or whatever fxpasses prune takes")
    parser.add_argument("--budget", default="macs=0.8", metavar="WHAT=SHARE", help="what may be left")
    parser.add_argument("--criteria", nargs="+", choices=ALL, default=ALL, metavar="NAME", help=f"of {', '.join(ALL)}")
    parser.add_argument("--scopes", nargs="+", choices=SCOPES, default=SCOPES, help="where the ratio holds")
    parser.add_argument("--joined", action="store_true", help="prune residual streams, too")
    parser.add_argument("--eval", type=int, default=10_000, metavar="N", help="images to measure on, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows here, after each")
    return parser.parse_args(arguments)


def compared(given: argparse.Namespace, said: Console) -> tuple[str, list[Row]]:
    """Run all trials and return the table's title and rows; ``--json`` is written after each."""
    budget, rows = Budget.parse(given.budget), list[Row]()
    model = load_model(given.model, given.weights, given.seed)
    data = open_dataset(given.data, model)
    images = min(given.eval, data.evaluation_images)
    trial = Trial(fx.capture(model.module, model.example_inputs()), data, images)
    dense = trial.measure(trial.graph)
    told = {
        "environment": environment(),
        "model": given.model,
        "budget": given.budget,
        "images": images,
        "dense": {"top1": top1(dense), "loss": dense.mean_loss},
    }
    for row in rows_of(trial, budget, given):
        rows.append(row)
        said.print(f"{row.criterion} {row.scope}: {row.statistics:.1f} % after {row.seconds:.0f} s", markup=False)
        if given.json:
            write_json_atomic(given.json, {**told, "rows": [asdict(row) for row in rows]})
    return f"{given.model}, {given.budget}, {images} images; dense {top1(dense):.1f} %", rows


def main(arguments: Sequence[str] | None = None) -> int:
    given = parsed(arguments)
    console, said = Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE), Console(stderr=True)
    try:
        with torch_threads(given.threads):
            console.print(table_of(*compared(given, said)))
    except FxPassesError as error:
        said.print(f"error: {error}", markup=False)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
