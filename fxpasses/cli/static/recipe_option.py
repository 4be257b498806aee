"""``--recipe`` and ``--max-drop`` of quantize: settings from a recipe or a search, instead of from other options."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fxpasses.errors import InputError
from fxpasses.measure.runners import torch_threads
from fxpasses.quantization.config import LARGEST_BITS
from fxpasses.quantization.repair_table import REPAIRS
from fxpasses.sensitivity.search.recipe_file import Files, Recipe, read_recipe, write_recipe

from ..folders.folder import DataChoice, ModelChoice
from ..given import default_threads
from ..jobs.parallel_jobs import threads_each
from ..jobs.search_jobs import Calibration
from ..jobs.subject import Subject, loaded
from ..terminal import Terminal
from .accuracy_search import SearchSettings, search_into
from .quantize_model import Settings, calibration_images

RECIPE_TOML = "recipe.toml"


@dataclass(frozen=True)
class SettingsOrigin:
    """The origin of settings, if plain options do not give them: a recipe, or a search.

    Attributes:
        recipe: a file to take the settings from.
        max_drop: points of accuracy that may be lost; settings are searched for.
        workers, backend: processes of the search.
        journal: journal of the search.
        said: options given that conflict with a recipe.
    """

    recipe: Path | None = None
    max_drop: float | None = None
    workers: int = 1
    backend: str = "loky"
    journal: Path = Path("journal.jsonl")
    said: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.recipe is None:
            return
        if self.said:
            raise InputError(
                f"--recipe with {' and '.join(self.said)}",
                why="a recipe says it all",
                fix="change the recipe, or leave it",
            )


@dataclass(frozen=True)
class ChosenSettings:
    """The settings to quantize with, and the recipe to compare with or to write."""

    settings: Settings
    recipe: Recipe | None = None
    is_new: bool = False


def chosen_settings(
    folder: Path, model: ModelChoice, data: DataChoice, settings: Settings, origin: SettingsOrigin, terminal: Terminal
) -> ChosenSettings:
    """Read the recipe, or search for one; without either, return the settings as they are.

    Raises:
        InputError: the recipe cannot be used, or nothing within ``max_drop`` was found.
    """
    if origin.recipe is not None:
        recipe = read_recipe(origin.recipe)
        images = settings.calibration_images or recipe.calibration_images
        seed = settings.seed if recipe.seed is None else recipe.seed
        of_files = vars(recipe.files)
        return ChosenSettings(
            replace(settings, config=recipe.config, calibration_images=images, seed=seed, **of_files), recipe
        )
    if origin.max_drop is None:
        return ChosenSettings(settings)
    _refuse_beside_search(settings)
    with torch_threads(default_threads(settings.threads)):
        return _searched(folder, model, data, settings, origin.max_drop, origin, terminal)


def _refuse_beside_search(settings: Settings) -> None:
    """Raise InputError for the first setting that conflicts with ``--max-drop``."""
    config = settings.config
    refused = [
        (
            settings.placement != Settings.placement,
            f"--placement {settings.placement}",
            "the search chooses what stays float itself, by accuracy and latency",
            "drop one of them",
        ),
        (config.sweeps, "--observer sweep", "the search tries every observer itself", "leave --observer out"),
        (
            config.activation_bits != LARGEST_BITS,
            f"--activation-bits {config.activation_bits}",
            "the search is for the fastest model, and on a CPU these are slower than fp32",
            "drop one of them",
        ),
    ]
    for setting, repair in REPAIRS.items():
        value, option = getattr(config, setting), repair.option.split("/")[0]
        fix = f"search first, then write {setting} = {json.dumps(value)} into recipe.toml under [quantize]"
        asked = option if value is True else f"{option} {value}"
        refused.append((value != repair.off and bool(repair.why_not_searched), asked, repair.why_not_searched, fix))
    for is_asked, option, why, fix in refused:
        if is_asked:
            raise InputError(f"--max-drop with {option}", why=why, fix=fix)


def _searched(
    folder: Path,
    model: ModelChoice,
    data: DataChoice,
    settings: Settings,
    max_drop: float,
    origin: SettingsOrigin,
    terminal: Terminal,
) -> ChosenSettings:
    threads = threads_each(default_threads(settings.threads), origin.workers)
    subject = Subject(model, data, threads, settings.device)
    source = loaded(subject).data
    images = calibration_images(source, settings)
    search = SearchSettings(
        max_drop=max_drop,
        images=settings.evaluation_images,
        calibration=Calibration(images, settings.seed),
        workers=origin.workers,
        backend=origin.backend,
        journal=origin.journal,
    )
    chosen = search_into(folder, subject, settings.config, search, terminal)
    result = {
        "found_by": chosen.what,
        "drop": round(chosen.drop, 4),
        "images": chosen.score.images,
        "sqnr_db": None if chosen.score.sqnr_db is None else round(chosen.score.sqnr_db, 3),
        "speedup_vs_fp32": None if chosen.latency is None else round(chosen.latency.speedup, 3),
    }
    files = Files(settings.dynamic_size, settings.form, settings.opset)
    recipe = Recipe(chosen.settings, images, settings.seed, result, files)
    return ChosenSettings(replace(settings, config=chosen.settings, calibration_images=images), recipe, is_new=True)


def record(folder: Path, found: ChosenSettings, report: Mapping[str, Any], terminal: Terminal) -> None:
    """Write the recipe that a search found; remark if a given recipe led to other integers than before."""
    if found.recipe is None:
        return
    sha256 = report["qparams_sha256"]
    if found.is_new:
        write_recipe(
            folder / RECIPE_TOML, replace(found.recipe, result={**found.recipe.result, "qparams_sha256": sha256})
        )
    elif found.recipe.qparams_sha256 not in (None, sha256):
        terminal.remark(
            "the recipe gave other integers where it was written: weights, data, or versions of packages differ"
        )
