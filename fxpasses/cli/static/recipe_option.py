"""``--recipe`` and ``--max-drop`` of quantize: settings from a recipe or a search, instead of from other options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fxpasses.errors import InputError
from fxpasses.measure.runners import torch_threads
from fxpasses.quantization.config import LARGEST_BITS
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
class Wish:
    """Requests of the command line beside plain settings.

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
class Settled:
    """The settings to quantize with, and the recipe to compare with or to write."""

    settings: Settings
    recipe: Recipe | None = None
    is_new: bool = False


def settled(
    folder: Path, model: ModelChoice, data: DataChoice, settings: Settings, wish: Wish, terminal: Terminal
) -> Settled:
    """Read the recipe, or search for one; without either, return the settings as they are.

    Raises:
        InputError: the recipe cannot be used, or nothing within ``max_drop`` was found.
    """
    if wish.recipe is not None:
        recipe = read_recipe(wish.recipe)
        images = settings.calibration_images or recipe.calibration_images
        seed = settings.seed if recipe.seed is None else recipe.seed
        of_files = vars(recipe.files)
        return Settled(
            replace(settings, config=recipe.config, calibration_images=images, seed=seed, **of_files), recipe
        )
    if wish.max_drop is None:
        return Settled(settings)
    _refuse_beside_search(settings)
    with torch_threads(default_threads(settings.threads)):
        return _searched(folder, model, data, settings, wish.max_drop, wish, terminal)


def _refuse_beside_search(settings: Settings) -> None:
    """Raise InputError for the first setting that conflicts with ``--max-drop``."""
    config = settings.config
    refused = [
        (
            config.rounding == "learned",
            "--rounding learned",
            "the search tries dozens of models, and learning takes minutes for each",
            'search first, then write rounding = "learned" into recipe.toml under [quantize]',
        ),
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
        (
            config.reestimation,
            "--reestimate",
            "the search makes its models from one calibration, without running them again",
            "search first, then write reestimation = true into recipe.toml under [quantize]",
        ),
    ]
    for is_asked, option, why, fix in refused:
        if is_asked:
            raise InputError(f"--max-drop with {option}", why=why, fix=fix)


def _searched(
    folder: Path,
    model: ModelChoice,
    data: DataChoice,
    settings: Settings,
    max_drop: float,
    wish: Wish,
    terminal: Terminal,
) -> Settled:
    threads = threads_each(default_threads(settings.threads), wish.workers)
    subject = Subject(model, data, threads)
    source = loaded(subject).data
    images = calibration_images(source, settings)
    search = SearchSettings(
        max_drop=max_drop,
        images=settings.evaluation_images,
        calibration=Calibration(images, settings.seed),
        workers=wish.workers,
        backend=wish.backend,
        journal=wish.journal,
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
    return Settled(replace(settings, config=chosen.settings, calibration_images=images), recipe, is_new=True)


def record(folder: Path, found: Settled, report: Mapping[str, Any], terminal: Terminal) -> None:
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
