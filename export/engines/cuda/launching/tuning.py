"""The fastest tile for each shape on this card: measured on request, and kept in a file.

There is one file for each kind of card, in ``$FXPASSES_CACHE`` or ``~/.cache/fxpasses``. It holds data and no code, and
it is checked as it is read: a damaged file, or one of another format or card, is ignored with a note. A new file is
written beside the old one and renamed. A tile changes the speed of the computation, and never an integer.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from .tiles import Tile

MOST_BYTES = 4 << 20
_LARGEST = {"bm": 1024, "bn": 1024, "bk": 1024, "warps": 32, "stages": 16}
_KEY = re.compile(r"[a-z]+(:[0-9]{1,12})+")
_FORMAT = "fxpasses tiles 1"
"""Format of the file of tiles; a file of another format is not read."""


@dataclass
class TileTable:
    """Tiles that were measured on one card.

    Attributes:
        card: name of the card.
        tiles: tiles by kind of kernel and shape.
        notes: sentences on faults of the file, and on tiles that could not run.
        measure: function that returns the milliseconds of a launch; None if tiles are only looked up.
    """

    card: str
    tiles: dict[str, Tile] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    measure: Callable[[Callable[[], None]], float] | None = None

    @property
    def path(self) -> Path:
        name = re.sub(r"[^A-Za-z0-9]+", "-", self.card).strip("-").lower() or "card"
        return cache_folder() / f"tiles-{name}.json"

    def read(self) -> None:
        """Read the tiles in this card's file; a fault of the file becomes a note."""
        try:
            if self.path.stat().st_size > MOST_BYTES:
                raise ValueError(f"more than {MOST_BYTES >> 20} MiB")
            self.tiles = _checked(json.loads(self.path.read_text(encoding="utf-8")), self.card)
        except FileNotFoundError:
            return
        except (OSError, ValueError, RecursionError) as error:
            self.notes.append(f"{self.path} is ignored, and written anew when something is measured: {error}")

    def write(self) -> None:
        """Write the file under another name and rename it; a failure becomes a note."""
        said = {"format": _FORMAT, "card": self.card, "tiles": {key: t.to_json() for key, t in self.tiles.items()}}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, beside = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name)
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(said, file, indent=1)
                Path(beside).replace(self.path)
            except BaseException:
                Path(beside).unlink(missing_ok=True)
                raise
        except OSError as error:
            self.notes.append(f"{self.path} could not be written: {error}")


def cache_folder() -> Path:
    """The folder of the files of tiles."""
    given = os.environ.get("FXPASSES_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "fxpasses"


def _checked(said: object, card: str) -> dict[str, Tile]:
    if not isinstance(said, dict) or said.get("format") != _FORMAT:
        raise ValueError(f"it is not of format {_FORMAT!r}")
    if said.get("card") != card:
        raise ValueError("it is of another card")
    listed = said.get("tiles")
    if not isinstance(listed, dict):
        raise ValueError("it lists no tiles")
    return {_checked_key(key): _checked_tile(tile) for key, tile in listed.items()}


def _checked_key(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key[:40]!r} is no shape")
    return key


def _checked_tile(said: object) -> Tile:
    if not isinstance(said, dict) or said.keys() != _LARGEST.keys():
        raise ValueError("a tile has other sizes than it should")
    for name, most in _LARGEST.items():
        size = said[name]
        if type(size) is not int or not 0 <= size <= most or (size & (size - 1) and name != "stages"):
            raise ValueError(f"a tile's {name} is {str(size)[:20]}")
    return Tile(**said)


_in_use: ContextVar[TileTable | None] = ContextVar("tiles", default=None)
"""The table in which launches of this thread look up tiles."""


@contextlib.contextmanager
def using(table: TileTable) -> Iterator[TileTable]:
    """Launch with the tiles of ``table`` inside the block; new measurements are added to it."""
    token = _in_use.set(table)
    try:
        yield table
    finally:
        _in_use.reset(token)


Launch = Callable[[Any, tuple[int, ...]], Callable[..., object]]
"""Function from a kernel and its number of programs to a function of the kernel's arguments."""
Start = Callable[[Tile, Launch], None]
"""Function that launches a kernel with a tile."""


def at_once(kernel: Any, grid: tuple[int, ...]) -> Callable[..., object]:
    """Run the kernel."""
    launched: Callable[..., object] = kernel[grid]
    return launched


def without_running(kernel: Any, grid: tuple[int, ...]) -> Callable[..., object]:
    """Compile the kernel, but do not run it."""
    return partial(kernel.warmup, grid=grid)


@contextlib.contextmanager
def _compiled_together() -> Iterator[None]:
    """Compile the kernels of the block in several threads; a tile's failure is ignored until the tile is launched."""
    import triton

    with (
        ThreadPoolExecutor(os.cpu_count()) as threads,
        triton.AsyncCompileMode(threads, ignore_errors=True),
    ):
        yield


@dataclass(frozen=True)
class Choice:
    """One launch: the tiles to try, and the tile that is used without measurements."""

    kind: str
    shape: Sequence[int]
    candidates: Sequence[Tile]
    usual: Tile

    @property
    def key(self) -> str:
        return ":".join([self.kind, *(str(int(size)) for size in self.shape)])

    def launch(self, start: Start) -> None:
        """Run with the best known tile; measure the tiles before, if the table in use measures."""
        table = _in_use.get()
        if table is not None and table.measure is not None and self.key not in table.tiles:
            table.tiles[self.key] = self._fastest(start, table, table.measure)
        start(self.usual if table is None else table.tiles.get(self.key, self.usual), at_once)

    def _fastest(self, start: Start, table: TileTable, measure: Callable[[Callable[[], None]], float]) -> Tile:
        best, shortest = self.usual, float("inf")
        tiles = dict.fromkeys((self.usual, *self.candidates))
        with _compiled_together():
            for tile in tiles:
                start(tile, without_running)
        for tile in tiles:
            try:
                took = measure(lambda tile=tile: start(tile, at_once))  # type: ignore[misc]  # bound by its default
            except resource_errors() as error:
                table.notes.append(f"{self.key}: {tile} cannot run here: {str(error).splitlines()[0]}")
                continue
            if took < shortest:
                best, shortest = tile, took
        return best


def resource_errors() -> tuple[type[Exception], ...]:
    """Errors of a tile that is too large for the card: too little shared memory, registers or GPU memory."""
    from triton.runtime.errors import OutOfResources

    return OutOfResources, torch.cuda.OutOfMemoryError


def milliseconds(run: Callable[[], None]) -> float:
    """The median of a launch on the current GPU, by events."""
    from triton.testing import do_bench

    took: float = do_bench(run, warmup=5, rep=20, return_mode="median")
    return took
