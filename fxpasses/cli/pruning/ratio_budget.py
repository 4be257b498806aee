"""``fxpasses prune --max-drop``: find the largest ratio that keeps accuracy, by pruning and measuring."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

from fxpasses.errors import InputError
from fxpasses.export.files import write_json_atomic
from fxpasses.measure.metrics import POINTS, amount_text
from fxpasses.measure.runners import torch_threads
from fxpasses.pruning.channels.budget import Budget
from fxpasses.sensitivity.scoring import Scorer
from fxpasses.sensitivity.search.ratio_search import RatioSearch, largest_ratio

from ..folders.captured_model import captured_model
from ..given import Input, default_threads
from ..jobs.evaluation_data import evaluation_batches
from ..static.quantize_model import Settings
from ..terminal import Terminal
from .steps import Pruning, prune

RATIO_SEARCH_JSON = "ratio_search.json"


def amount_of(ratio: float | None, budget: str | None, max_drop: float | None) -> dict[str, Any]:
    """``ratio`` and ``budget`` of :class:`Pruning`; with ``max_drop``, a ratio that is still to be found.

    Raises:
        InputError: a ratio that is both given and searched for, or a budget that cannot be parsed.
    """
    given = [name for name, value in (("--ratio", ratio), ("--budget", budget)) if value is not None]
    if max_drop is not None and given:
        raise InputError(
            f"--max-drop with {given[0]}", why="it searches for the ratio", fix=f"drop one of them, say {given[0]}"
        )
    return {
        "ratio": ratio if max_drop is None else 0.0,
        "budget": None if budget is None else Budget.parse(budget),
    }


def within_drop(
    folder: Path, given: Input, pruning: Pruning, max_drop: float, settings: Settings, terminal: Terminal
) -> Pruning:
    """Find the pruning with the largest ratio that, before any fine-tuning, loses at most ``max_drop`` points.

    One ratio holds for all layers that ``pruning`` names. Writes ratio_search.json. Without fine-tuning, BatchNorm
    statistics stay as they were when accuracy was measured: estimating them again can cost as much accuracy as the
    pruning.

    Raises:
        InputError: even the smallest ratio tried loses more, or there is nothing to prune.
    """
    with torch_threads(default_threads(settings.threads)), terminal.step("search the ratio", 0) as step:
        graph = captured_model(given.model)
        batches = evaluation_batches(given.data, settings.evaluation_images)
        scorer = Scorer(graph, batches, given.metric, given.model.output_dims)
        dense = scorer.float_score.quality
        tried = 0

        def drop_at(ratio: float) -> float:
            nonlocal tried
            tried += 1
            step.at(f"{100 * ratio:.1f} %", tried, 0)
            small = prune(graph, given, replace(pruning, ratio=ratio), _silent(terminal)).graph
            return dense - scorer.score(small).quality

        found = largest_ratio(drop_at, max_drop, noise=scorer.standard_error)
    unit = scorer.what_is_lost
    if found.ratio == 0:
        raise InputError(
            f"no ratio within {max_drop:g} {unit}",
            why=f"already {100 * found.tried[1][0]:.1f} % lose {amount_text(found.tried[1][1], unit)}",
            fix="allow more with --max-drop, prune other --layers, or fine-tune a fixed --ratio",
        )
    write_json_atomic(folder / RATIO_SEARCH_JSON, {"max_drop": max_drop, **found.to_json()})
    for line in outcome_lines(found, max_drop, unit):
        terminal.results.print(line, markup=False)
    return replace(pruning, ratio=found.ratio, keep_statistics=not pruning.epochs)


def outcome_lines(found: RatioSearch, max_drop: float, unit: str = POINTS) -> list[str]:
    """Lines for the terminal: the ratio found, its drop, and the number of evaluations."""
    lines = [
        f"search  {100 * found.ratio:.1f} % lose {amount_text(found.drop, unit)} of the {max_drop:g} allowed, "
        f"after {found.evaluations} evaluations"
    ]
    if not found.is_monotone:
        lines.append("note    accuracy does not fall steadily with the ratio: a larger one may hold, too")
    return lines


def _silent(terminal: Terminal) -> Terminal:
    from rich.console import Console

    return Terminal(terminal.results, Console(file=io.StringIO()))
