"""A recipe: how a model was pruned, as JSON, to prune it or another the same way again."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from fxpasses.errors import InputError
from fxpasses.export.files import write_json_atomic
from fxpasses.formats.documents import checked, named, read_json
from fxpasses.pruning.channels.budget import Budget

from .steps import Pruning

RECIPE = "recipe.json"
FIX = f"give the {RECIPE} that fxpasses prune wrote, or one like it"


def write_recipe(pruning: Pruning, path: Path) -> None:
    """Write every setting, all or nothing."""
    write_json_atomic(path, {"prune": asdict(pruning)})


def read_recipe(path: Path) -> Pruning:
    """Read what :func:`write_recipe` wrote; settings that are missing have their defaults.

    Raises:
        InputError: there is no such file, it is not JSON, or holds something else.
    """
    from fxpasses.formats.recipes import PruneRecipe

    content = read_json(path, "the recipe", FIX)
    settings = content.get("prune") if isinstance(content, dict) else None
    if not isinstance(settings, dict):
        raise InputError(f"{path} is not a recipe", why="it has no 'prune'", fix=FIX)
    unknown = sorted(settings.keys() - {field.name for field in fields(Pruning)})
    if unknown:
        raise InputError(f"recipe {path}", why=f"there is no setting {unknown[0]!r}", fix=FIX)
    checked(PruneRecipe, content, path, FIX)
    with named(path, "prune"):
        return Pruning(**_typed(settings))


def _typed(settings: dict[str, Any]) -> dict[str, Any]:
    """JSON has neither tuples nor budgets."""
    typed = dict(settings)
    if typed.get("budget") is not None:
        typed["budget"] = Budget(**typed["budget"])
    if typed.get("layers") is not None:
        typed["layers"] = tuple(typed["layers"])
    return typed
