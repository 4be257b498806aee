"""Blueprints: instructions to build a model, and a description of its input."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import Tensor, nn

from fxpasses.errors import InputError

from .model_input import InputShape, Preprocessing

NAMES_LISTED = 20


@dataclass(frozen=True)
class Blueprint:
    """Instructions to build a model, and a description of its input."""

    build: Callable[[], nn.Module]
    input_shape: InputShape
    preprocessing: Preprocessing
    vocabulary: int | None = None
    examples: tuple[Tensor, ...] = ()
    input_names: tuple[str, ...] = ()
    pretrained: bool = False


def unknown_name(kind: str, name: str, known: Iterable[str], also: str = "") -> InputError:
    """Error for an unknown name, with the nearest known one."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    listed = ", ".join(names[:NAMES_LISTED]) + (", ..." if len(names) > NAMES_LISTED else "")
    fix = f"did you mean {near[0]!r}?" if near else f"choose one of {listed}"
    return InputError(
        f"unknown {kind} {name!r}",
        why=f"it is none of the {len(names)} known names",
        fix=fix + (f" (or {also})" if also else ""),
    )
