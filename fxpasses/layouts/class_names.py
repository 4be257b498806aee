"""Names of classes: from a labels file, from the folders of the data, or as the data set publishes them."""

from __future__ import annotations

from pathlib import Path

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
"""Published class names of data sets, in the order of the class numbers."""
_FIX = 'write {"classes": ["name", ...]} or {"classes": [["folder", "name"], ...]} in the order of the logits'


def class_names(spec: str, labels_file: str | None = None) -> tuple[str, ...]:
    """The class names in the order of the logits; empty if the data has none, or is no longer there.

    Args:
        spec: the data as the report has it: ``"digits"``, ``"images=/data/pets"``.
        labels_file: of ``images=``, where another than the folder's own was given.
    """
    kind, _, place = spec.partition("=")
    if kind != "images":
        return PUBLISHED.get(kind, ())
    try:
        return _images(Path(labels_file or place))
    except (InputError, OSError, UnicodeDecodeError):  # the data is on another machine: indices will do
        return ()


def named_in(path: Path) -> tuple[str, ...]:
    """The class names in a labels file; of an entry like ``["n01440764", "tench"]``, the common name is used.

    Raises:
        InputError: it is no labels file.
    """
    content = read_json(path, "the labels", _FIX)
    found = checked(Labels, content, path, _FIX).root
    entries = found if isinstance(found, list) else found.classes
    return tuple(entry if isinstance(entry, str) else entry[min(1, len(entry) - 1)] for entry in entries)


def _images(place: Path) -> tuple[str, ...]:
    if place.is_file():
        return named_in(place)
    if (place / "labels.json").is_file():
        return named_in(place / "labels.json")
    folders = [folder for part in ("train", "val") for folder in (place / part).iterdir() if folder.is_dir()]
    return tuple(sorted({folder.name for folder in folders}))
