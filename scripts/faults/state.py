"""State of a folder after a fault: the old result, the new one, or neither; and whether each file can be read."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

OLD, NEW, MIXED = "old", "new", "mixed"
OF_OTHERS = ("tmp/.ses",)
"""Temporary files that onnxruntime leaves, in undisturbed runs, too."""
Snapshot = Mapping[str, tuple[int, bytes]]
"""Number on the file system and content of each file below a folder."""


def snapshot(folder: Path) -> Snapshot:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): (file.stat().st_ino, file.read_bytes()) for file in files}


def state_of(before: Snapshot, folder: Path) -> str:
    """Result that a folder holds, by the numbers of its files; temporary folders are ignored."""
    after = {name: known for name, known in snapshot(folder).items() if not name.startswith(".fxpasses-")}
    if after == before:
        return OLD
    is_new = after.keys() == before.keys() and all(after[name][0] != before[name][0] for name in after)
    return NEW if is_new else MIXED


def left_behind(root: Path, expected: frozenset[str]) -> list[str]:
    """Files and folders in a folder that are not expected there."""
    found = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
    return [path for path in found if path not in expected and path not in OF_OTHERS]


def unreadable(folder: Path) -> list[str]:
    """Files that their own readers refuse, with the errors."""
    found = []
    for file in sorted(folder.rglob("*")):
        if not file.is_file():
            continue
        try:
            _reader_of(file)(file)
        except Exception as error:  # noqa: BLE001 - every error is reported
            found.append(f"{file.name}: {type(error).__name__}: {error}")
    return found


def _reader_of(file: Path) -> Callable[[Path], object]:
    from fxpasses.cli.pruning.recipe import read_recipe
    from fxpasses.export import load
    from fxpasses.export.onnx_reader import read_onnx
    from fxpasses.reports.document import read_report

    by_name: dict[str, Callable[[Path], object]] = {"report.json": read_report, "recipe.json": read_recipe}
    by_suffix: dict[str, Callable[[Path], object]] = {
        ".onnx": read_onnx,
        ".pt2": load if "int8" in file.name else _read_program,
        ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
        ".jsonl": lambda path: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()],
        ".html": _read_page,
        ".png": _read_picture,
        ".npz": _read_arrays,
        ".pt": _read_weights,
    }
    return by_name.get(file.name) or by_suffix[file.suffix]


def _read_program(path: Path) -> None:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch 2.11 warns of a buffer of its own
        torch.export.load(path)


def _read_page(path: Path) -> None:
    if not path.read_text(encoding="utf-8").rstrip().endswith("</html>"):
        raise ValueError("the page is cut short")


def _read_picture(path: Path) -> None:
    from PIL import Image

    with Image.open(path) as picture:
        picture.load()


def _read_arrays(path: Path) -> None:
    import numpy as np

    with np.load(path, allow_pickle=False) as arrays:
        for name in arrays.files:
            _ = arrays[name].shape


def _read_weights(path: Path) -> None:
    import torch

    torch.load(path, weights_only=True)
