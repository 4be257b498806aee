"""``csv=FILE``: rows of numbers, or of image files, with their labels.

A header names the columns, separated by commas::

    width,height,weight,label                image,split,target_x,target_y
    1.5,0.2,7,0                              pictures/a.png,train,0.25,0.5

``label`` is a class, as a whole number, or any number to be predicted. Several columns that begin with ``target`` are
predicted together. Without either, the last column is the label. ``split`` is ``train`` or ``val``; without it every
fifth row is held out. A column ``image`` names files relative to this one, which are fed as by ``images=DIR``;
otherwise all other columns, in order and unchanged, are the input. Labels are int64 ``[B]`` if they are whole numbers
in one column named ``label``, else float32 ``[B]``, or ``[B, targets]``.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fxpasses.errors import InputError
from fxpasses.formats.documents import read_text
from fxpasses.formats.regular_files import require_regular

from ..model_input import InputShape, shape_text
from .image_folder import read_image, require_image_shape

HELD_OUT_EVERY = 5
LABEL, TARGET, SPLIT, IMAGE = "label", "target", "split", "image"
FIX = "write a header such as a,b,label and a number under each name"


@dataclass(frozen=True)
class CsvSplit:
    """Rows of a table: ``values`` ``[N, columns]``, or ``files`` that are read when needed; and ``answers``, their
    labels.
    """

    values: Tensor
    files: tuple[Path, ...]
    answers: Tensor
    shape: InputShape

    def __len__(self) -> int:
        return len(self.answers)

    @property
    def labels(self) -> Tensor | None:
        """Classes; None if rows have numbers to predict."""
        return None if self.answers.is_floating_point() else self.answers

    def inputs(self, indices: Tensor) -> Tensor:
        if self.files:
            return torch.stack([read_image(self.files[index], self.shape) for index in indices.tolist()])
        return self.values[indices]

    def targets(self, indices: Tensor) -> Tensor:
        return self.answers[indices]


def csv_splits(path: Path, shape: InputShape, source: str) -> tuple[CsvSplit, CsvSplit]:
    """Return the training split and the held-out split.

    Raises:
        InputError: the file cannot be read, a cell does not fit its column, or rows do not fit the model.
    """
    header, rows = _read(path)
    answers = _answers(header, rows, path)
    values, files = torch.zeros(len(rows), 0), tuple[Path, ...]()
    if IMAGE in header:
        require_image_shape(shape, source)
        files = tuple(path.parent / row[header.index(IMAGE)] for row in rows)
        for file in files:
            require_regular(file, f"put the image there, or take it out of {path}")
    else:
        columns = [n for n, name in enumerate(header) if name != SPLIT and n not in _label_columns(header)]
        values = _numbers(header, rows, columns, path)
        if shape != (len(columns),):
            why = f"its rows are {len(columns)} numbers, the model takes {shape_text(shape)}"
            raise InputError(f"{source} does not fit the model", why=why, fix="choose a model of as many inputs")
    held_out = _held_out(header, rows, path)
    parts = (torch.nonzero(~held_out).flatten(), torch.nonzero(held_out).flatten())
    made = [
        CsvSplit(values[part], tuple(files[n] for n in part.tolist()) if files else (), answers[part], shape)
        for part in parts
    ]
    return made[0], made[1]


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    lines = read_text(path, "the table", "name a .csv file in UTF-8").splitlines()
    try:
        table = [row for row in csv.reader(lines, strict=True) if row]
    except csv.Error as error:
        raise InputError(f"{path} is no table", why=str(error), fix=FIX) from error
    if len(table) < 2:
        raise InputError(f"{path} has no rows", why="it needs a header and rows below it", fix=FIX)
    header = [name.strip() for name in table[0]]
    if len(set(header)) != len(header) or any(_is_number(name) for name in header):
        raise InputError(f"{path} has no header", why=f"its first row is {', '.join(header)[:80]}", fix=FIX)
    for number, row in enumerate(table[1:], 2):
        if len(row) != len(header):
            why = f"it has {len(row)} cells, the header {len(header)}"
            raise InputError(f"{path}: row {number} is incomplete", why=why, fix="fill or remove it")
    return header, [[cell.strip() for cell in row] for row in table[1:]]


def _label_columns(header: Sequence[str]) -> list[int]:
    targets = [n for n, name in enumerate(header) if name.startswith(TARGET)]
    return [header.index(LABEL)] if LABEL in header else targets or [len(header) - 1]


def _answers(header: Sequence[str], rows: Sequence[Sequence[str]], path: Path) -> Tensor:
    columns = _label_columns(header)
    found = _numbers(header, rows, columns, path)
    if LABEL in header and bool((found == found.round()).all()):
        return found[:, 0].to(torch.int64)
    return found[:, 0] if len(columns) == 1 else found


def _held_out(header: Sequence[str], rows: Sequence[Sequence[str]], path: Path) -> Tensor:
    if SPLIT not in header:
        held_out = (torch.arange(len(rows)) + 1) % HELD_OUT_EVERY == 0
    else:
        cells = [row[header.index(SPLIT)] for row in rows]
        odd = next((n for n, cell in enumerate(cells, 2) if cell not in ("train", "val")), None)
        if odd is not None:
            raise InputError(
                f"{path}: row {odd}: split is {cells[odd - 2]!r}", why="it is train or val", fix="write one"
            )
        held_out = torch.tensor([cell == "val" for cell in cells])
    if not bool(held_out.any()) or bool(held_out.all()):
        fix = f"write a column split with both, or {HELD_OUT_EVERY} rows or more"
        raise InputError(f"{path} has no row to {'calibrate' if held_out.all() else 'evaluate'} on", why=_ALL, fix=fix)
    return held_out


_ALL = "all rows are of one split"


def _numbers(header: Sequence[str], rows: Sequence[Sequence[str]], columns: Sequence[int], path: Path) -> Tensor:
    for number, row in enumerate(rows, 2):
        bad = next((n for n in columns if not _is_number(row[n])), None)
        if bad is not None:
            raise InputError(
                f"{path}: row {number}: {header[bad]} is {row[bad]!r:.40}", why="it is no finite number", fix=FIX
            )
    return torch.tensor([[float(row[n]) for n in columns] for row in rows], dtype=torch.float32)


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False
