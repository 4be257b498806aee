"""A recipe: the settings of a pruning as JSON, to prune the same model or another one the same way again."""

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


def write_recipe(pruning: Pruning, path: Path, opset: int | None = None) -> None:
    """Write every setting, and the opset of the files if it was chosen; the file is complete or not there."""
    write_json_atomic(path, {"prune": asdict(pruning)} | ({} if opset is None else {"files": {"opset": opset}}))


def read_recipe(path: Path) -> Pruning:
    """Read the file of :func:`write_recipe`; missing settings get their defaults.

    Raises:
        InputError: there is no such file, it is not JSON, or it is not a recipe.
    """
    settings = _checked(path)["prune"]
    with named(path, "prune"):
        return Pruning(**_typed(settings))


def opset_in(path: Path) -> int | None:
    """The opset of the files in a recipe; None if it was not chosen.

    Raises:
        InputError: as :func:`read_recipe`.
    """
    opset: int | None = _checked(path).get("files", {}).get("opset")
    return opset


def is_recipe(content: object) -> bool:
    """Whether a JSON document has the keys of a recipe."""
    return isinstance(content, dict) and "prune" in content and content.keys() <= {"prune", "files"}


def _checked(path: Path) -> dict[str, Any]:
    """The content of a recipe, after all checks."""
    from fxpasses.formats.recipes import PruneRecipe

    content = read_json(path, "the recipe", FIX)
    settings = content.get("prune") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(settings, dict):
        raise InputError(f"{path} is not a recipe", why="it has no 'prune'", fix=FIX)
    unknown = sorted(settings.keys() - {field.name for field in fields(Pruning)})
    if unknown:
        raise InputError(f"recipe {path}", why=f"there is no setting {unknown[0]!r}", fix=FIX)
    checked(PruneRecipe, content, path, FIX)
    found: dict[str, Any] = content
    return found


def _typed(settings: dict[str, Any]) -> dict[str, Any]:
    """Convert lists to tuples and dicts to budgets: JSON has neither of both."""
    typed = dict(settings)
    if typed.get("budget") is not None:
        typed["budget"] = Budget(**typed["budget"])
    if typed.get("layers") is not None:
        typed["layers"] = tuple(typed["layers"])
    return typed
