"""What the classes of a model are called: from a labels file, from the data set, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fxpasses.errors import InputError
from fxpasses.formats.documents import checked, read_json
from fxpasses.formats.labels import Labels

DIGITS = tuple("0123456789")
PUBLISHED = {
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    "mnist": DIGITS,
    "digits": DIGITS,
    "fashion": (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    "sst2": ("negative", "positive"),
}
"""Classes of data sets, in the order of their numbers."""
_FIX = 'write {"classes": ["name", ...]} or {"classes": [["folder", "name"], ...]} in the order of the logits'


def class_names(report: Mapping[str, Any], classes: int | None, labels: Path | None = None) -> list[str] | None:
    """The names in the order of the logits; None where nobody says them.

    Args:
        report: ``report.json``; it names the data and their labels file.
        classes: how many logits the model gives; None if it gives none.
        labels: a labels file that is used instead.

    Raises:
        InputError: the labels file cannot be read, or names another number of classes.
    """
    details = report.get("data_details") or {}
    kind, _, place = str(details.get("spec", "")).partition("=")
    given = labels or (Path(details["labels"]) if details.get("labels") else None)
    if given is None and kind == "images" and (Path(place) / "labels.json").is_file():
        given = Path(place) / "labels.json"
    if given is not None and (labels is not None or given.is_file()):
        names = read_names(given)
        if labels is not None and len(names) != classes:
            raise InputError(
                f"{given} names {len(names)} classes",
                why="the model gives no classes" if classes is None else f"the model gives {classes}",
                fix="give the labels of this model, or leave --labels out",
            )
    else:
        names = list(PUBLISHED.get(kind, ()))
    return names if names and len(names) == classes else None


def read_names(path: Path) -> list[str]:
    """The names of a labels file: of ``["n01440764", "tench"]`` the last one, as people call it."""
    content = read_json(path, "the labels", _FIX)
    checked(Labels, content, path, _FIX)
    entries: Sequence[Any] = content["classes"] if isinstance(content, Mapping) else content  # type: ignore[assignment]
    return [entry if isinstance(entry, str) else entry[min(1, len(entry) - 1)] for entry in entries]


def distinct(names: Sequence[str]) -> list[str]:
    """The same with a number behind names that occurred before: ImageNet has two cranes."""
    seen: set[str] = set()
    told = []
    for number, name in enumerate(names):
        told.append(f"{name} ({number})" if name in seen else name)
        seen.add(name)
    return told
