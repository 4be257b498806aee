"""Names of a bundle's classes: all different, and as many as the model has classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fxpasses.errors import InputError
from fxpasses.layouts.class_names import class_names as names_of_data
from fxpasses.layouts.class_names import named_in


def class_names(report: Mapping[str, Any], classes: int | None, labels: Path | None = None) -> list[str] | None:
    """The class names in the order of the logits; None if they are not known.

    Args:
        report: ``report.json``; it names the data and their labels file.
        classes: how many logits the model gives; None if it gives none.
        labels: a labels file that is used instead.

    Raises:
        InputError: the labels file cannot be read, or names another number of classes.
    """
    if labels is None:
        details = report.get("data_details") or {}
        names = names_of_data(str(details.get("spec", "")), details.get("labels"))
        return list(names) if names and len(names) == classes else None
    names = named_in(labels)
    if len(names) != classes:
        raise InputError(
            f"{labels} names {len(names)} classes",
            why="the model gives no classes" if classes is None else f"the model gives {classes}",
            fix="give the labels of this model, or leave `labels` out",
        )
    return list(names)


def distinct(names: Sequence[str]) -> list[str]:
    """Make names different: a repeated name gets a number, since ImageNet, for example, has two cranes."""
    seen: set[str] = set()
    told = []
    for number, name in enumerate(names):
        told.append(f"{name} ({number})" if name in seen else name)
        seen.add(name)
    return told
