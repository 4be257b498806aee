"""report.json's ``repairs``: the gain of each repair in use, added one after the other to plain rounding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx

from fxpasses.capturing.attempts import capture
from fxpasses.errors import InputError
from fxpasses.export.pt2.save_and_load import load
from fxpasses.export.torch_int8 import to_torch
from fxpasses.graph.stages import config_of
from fxpasses.measure.runners import torch_threads
from fxpasses.models.data.data_source import DataSource
from fxpasses.passes.fusion import fuse
from fxpasses.quantization.config import LARGEST_BITS, QuantConfig
from fxpasses.quantization.ranges.observer_spec import parse_observer
from fxpasses.quantization.repair_table import REPAIRS, Phase, settings_off
from fxpasses.reports.document import write_report
from fxpasses.reports.html.page import write_html
from fxpasses.sensitivity.calibrated import Distributions, calibrate_once, measure_distributions
from fxpasses.sensitivity.scoring import Score, Scorer

from ..folders.artifacts import INT8_PT2, REPORT_HTML, REPORT_JSON
from ..given import Input, default_threads
from ..terminal import Step, Terminal
from .quantize_model import Outcome, Settings, calibration_images

IMAGES = 128
"""Number of images; the last calibration images are taken, because equalization suits the first ones better."""
BATCH = 8


@dataclass(frozen=True)
class RepairStep:
    """One row of the table: a repair, how it is set, and the settings with it and all before it."""

    repair: str
    setting: str
    config: QuantConfig


def repair_steps(config: QuantConfig) -> list[RepairStep]:
    """Steps from no repair to ``config``: each one adds a repair to those before it.

    Repairs come in the order of their table, but for those that it says to count first.
    """
    idle = {setting: getattr(config, setting) for setting, repair in REPAIRS.items() if not repair.has_effect(config)}
    bare = replace(config, observer="minmax", weight_search="minmax", **settings_off() | idle)
    bits = "" if config.weight_bits == LARGEST_BITS else f", {config.weight_bits}-bit weights"
    steps = [RepairStep("none", f"rounded to nearest, no range clipped{bits}", bare)]
    for repair, setting, changed in _repairs(config):
        now = replace(steps[-1].config, **changed)
        if now != steps[-1].config:
            steps.append(RepairStep(repair, setting, now))
    return steps


def _repairs(config: QuantConfig) -> Iterator[tuple[str, str, dict[str, Any]]]:
    yield "range search", f"observer {config.observer}", {"observer": config.observer}
    yield "weight range search", f"by {config.weight_search}", {"weight_search": config.weight_search}
    for setting, repair in sorted(REPAIRS.items(), key=lambda row: not row[1].counted_first):
        value = getattr(config, setting)
        yield repair.name, repair.detail.format(value), {setting: value}


def explain_into(folder: Path, given: Input, settings: Settings, outcome: Outcome, terminal: Terminal) -> Outcome:
    """Measure every repair of the model in ``folder``, and write the report again with the result."""
    with torch_threads(default_threads(settings.threads)), terminal.step("explain repairs", 0) as step:
        found = repairs_of(load(folder / INT8_PT2), given, settings, step)
    report = {**outcome.report, "repairs": found}
    write_report(report, folder / REPORT_JSON)
    write_html(report, folder / REPORT_HTML)
    return Outcome(report, outcome.audit)


def repairs_of(made: fx.GraphModule, given: Input, settings: Settings, step: Step) -> dict[str, Any]:
    """report.json's ``repairs``.

    Args:
        made: the int8 graph with all repairs; its settings name them.
    """
    graph = fuse(capture(given.model.module, given.model.example_inputs()))
    images = calibration_images(given.data, settings)
    kept = _last_images(given.data, images, settings.seed)
    scorer = Scorer(graph, lambda: (((x,), None) for x in kept.split(BATCH)))
    calibrated = _Calibrations(graph, given.data, images, settings.seed)
    steps, rows = repair_steps(config_of(made)), list[dict[str, Any]]()
    for done, planned in enumerate(steps):
        step.at(planned.repair, done, len(steps))
        int8 = made if planned is steps[-1] else calibrated.int8(planned.config)
        rows.append(_row(planned, scorer.score(to_torch(int8)), rows[-1] if rows else None))
    return {"images": len(kept), "steps": rows}


def _row(planned: RepairStep, score: Score, before: Mapping[str, Any] | None) -> dict[str, Any]:
    gain = None
    if before is not None and before["sqnr_db"] is not None and score.sqnr_db is not None:
        gain = score.sqnr_db - before["sqnr_db"]
    return {
        "repair": planned.repair,
        "setting": planned.setting,
        "sqnr_db": score.sqnr_db,
        "gain_db": gain,
        "top1_agreement": score.top1_agreement,
    }


def _last_images(data: DataSource, images: int, seed: int) -> Tensor:
    kept: list[Tensor] = []
    for batch in data.calibration(images, seed=seed):
        if isinstance(batch, tuple):
            why = "repairs are measured on batches of one tensor"
            raise InputError("--explain-repairs of a model of several inputs", why=why, fix="leave it out")
        kept = [*kept, batch]
        while len(kept) > 1 and sum(map(len, kept[1:])) >= IMAGES:
            kept.pop(0)
    return torch.cat(kept)[-IMAGES:]


class _Calibrations:
    """Int8 graphs by their settings. Settings that differ only in ranges and rounding share one run over the data."""

    def __init__(self, graph: fx.GraphModule, data: DataSource, images: int, seed: int) -> None:
        self.graph, self.data, self.images, self.seed = graph, data, images, seed
        self._distributions = lru_cache(maxsize=1)(self._measured)

    def int8(self, config: QuantConfig) -> fx.GraphModule:
        """Convert with these settings; only nodes that ``config`` leaves in float stay float."""
        if parse_observer(config.observer).name == "moving_average":
            return calibrate_once(self.graph, config, self._batches()).convert()
        neutral = replace(
            config, observer="histogram", weight_search="minmax", bias_correction=True, **settings_off(Phase.RANGES)
        )
        return self._distributions(neutral).settle(config).convert()

    def _measured(self, neutral: QuantConfig) -> Distributions:
        return measure_distributions(self.graph, neutral, self._batches())

    def _batches(self) -> Iterator[Tensor]:
        return self.data.calibration(self.images, seed=self.seed)
