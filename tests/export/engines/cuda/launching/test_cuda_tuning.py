"""Tiles are chosen by measurements and kept in a checked file, and never change a result."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from engine_calls import call_of, random_integers
from tiny_nets.net import tiny
from torch import nn

from fxpasses.export.engines.cuda.launching.tiles import Tile, products, usual_product
from fxpasses.export.engines.cuda.launching.tuning import Choice, Launch, TileTable, at_once, cache_folder, using
from fxpasses.export.engines.cuda.layers import CudaLinear
from fxpasses.export.engines.reference import ReferenceKernel

pytestmark = pytest.mark.usefixtures("interpreter")

SLOW, FAST, LARGE = Tile(64, 64, 64), Tile(32, 64, 64), Tile(256, 256, 128)
CARD = "NVIDIA H200"


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("FXPASSES_CACHE", str(tmp_path))
    return tmp_path


def launched(table: TileTable | None) -> list[Tile]:
    """The tiles that one launch ran with."""
    ran: list[Tile] = []
    choice = Choice("product", (1, 2), (FAST, LARGE), SLOW)

    def start(tile: Tile, launch: Launch) -> None:
        if launch is at_once:
            ran.append(tile)

    if table is None:
        choice.launch(start)
        return ran
    with using(table):
        choice.launch(start)
    return ran


def measuring(run: Callable[[], None]) -> float:
    """Function that returns milliseconds by the order of tiles: the usual, the fast, the large one."""
    measuring.calls += 1  # type: ignore[attr-defined]  # counted on the function
    run()
    return {1: 3.0, 2: 1.0, 3: 2.0}[measuring.calls]  # type: ignore[attr-defined]  # counted on the function


@pytest.mark.slow
def test_a_layer_is_right_while_its_tiles_are_measured() -> None:
    """The layer is compiled with each tile, run with each, and run once more with the fastest."""
    call = call_of(tiny("tuned", lambda: nn.Linear(40, 7), (3, 40)), "linear")
    (q,) = random_integers(call, 1)
    tried: list[float] = []

    def measure(run: Callable[[], None]) -> float:
        run()
        tried.append(float(len(tried)))
        return -tried[-1]

    with using(TileTable(CARD, measure=measure)) as table:
        found = CudaLinear(call, proved=True)(q)
    assert torch.equal(found, ReferenceKernel(call)(q))
    assert len(tried) > 2 and list(table.tiles.values()) == [products(40)[-1]]


def test_without_a_table_the_usual_tile_runs() -> None:
    assert launched(None) == [SLOW] == launched(TileTable(CARD))


def test_the_fastest_tile_is_measured_once_and_read_again() -> None:
    measuring.calls = 0  # type: ignore[attr-defined]  # counted on the function
    table = TileTable(CARD, measure=measuring)
    assert launched(table) == [SLOW, FAST, LARGE, FAST] and launched(table) == [FAST]
    table.write()
    again = TileTable(CARD)
    again.read()
    assert launched(again) == [FAST] and again.notes == []
    assert [path.name for path in cache_folder().iterdir()] == ["tiles-nvidia-h200.json"]


@pytest.mark.parametrize("error", [torch.cuda.OutOfMemoryError("CUDA out of memory"), None])
def test_tiles_that_do_not_fit_are_left_out_with_a_note(error: Exception | None) -> None:
    from triton.runtime.errors import OutOfResources

    refused = error or OutOfResources(300_000, 232_448, "shared memory")

    def measure(run: Callable[[], None]) -> float:
        tried.append(1)
        if len(tried) != 2:
            raise refused
        return 1.0

    tried: list[int] = []
    table = TileTable(CARD, measure=measure)
    assert launched(table) == [FAST] and len(table.notes) == 2 and "cannot run here" in table.notes[0]


def test_where_no_tile_could_be_measured_the_usual_one_runs() -> None:
    def measure(run: Callable[[], None]) -> float:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    table = TileTable(CARD, measure=measure)
    assert launched(table) == [SLOW] and len(table.notes) == 3


GOOD = {"format": "fxpasses tiles 1", "card": CARD, "tiles": {"product:1:2": FAST.to_json()}}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (json.dumps(GOOD)[:40], "Unterminated|Expecting"),
        ("[]", "format"),
        (json.dumps(GOOD | {"format": "2"}), "format"),
        (json.dumps(GOOD | {"card": "NVIDIA A100"}), "another card"),
        (json.dumps(GOOD | {"tiles": []}), "no tiles"),
        (json.dumps(GOOD | {"tiles": {"../x": FAST.to_json()}}), "no shape"),
        (json.dumps(GOOD | {"tiles": {"product:1:2": {"bm": 64}}}), "other sizes"),
        (json.dumps(GOOD | {"tiles": {"product:1:2": FAST.to_json() | {"bm": 63}}}), "bm is 63"),
        (json.dumps(GOOD | {"tiles": {"product:1:2": FAST.to_json() | {"warps": True}}}), "warps"),
        (json.dumps(GOOD | {"tiles": {"product:1:2": FAST.to_json() | {"bk": 10**9}}}), "bk"),
        ("[" * 100_000, "recursion"),
    ],
)  # fmt: skip
def test_a_file_that_is_torn_or_says_something_else_is_ignored_with_a_note(content: str, why: str) -> None:
    table = TileTable(CARD)
    table.path.write_text(content)
    table.read()
    assert table.tiles == {} and launched(table) == [SLOW]
    assert len(table.notes) == 1 and "is ignored, and written anew" in table.notes[0]
    assert any(part in table.notes[0] for part in why.split("|"))
    table.tiles = {"product:1:2": FAST}
    table.write()
    again = TileTable(CARD)
    again.read()
    assert again.tiles == table.tiles and again.notes == []


def test_a_good_file_is_read() -> None:
    table = TileTable(CARD)
    table.path.write_text(json.dumps(GOOD))
    table.read()
    assert table.tiles == {"product:1:2": FAST}


def test_a_file_that_cannot_be_written_is_a_note(own_cache: Path) -> None:
    table = TileTable(CARD, {"product:1:2": FAST})
    table.path.mkdir()
    table.write()
    assert "could not be written" in table.notes[0] and [p.name for p in own_cache.iterdir()] == [table.path.name]


def test_tiles_suit_tensor_cores() -> None:
    for m, n, stretch in ((1, 1, 1), (17, 40, 9), (12544, 64, 576), (10**6, 512, 4608)):
        for tile in (*products(stretch), usual_product(m, n, stretch)):
            assert tile.bk >= 32 and tile.bm >= 16 and tile.bn >= 16
