"""Tiles: the part of a product that one program computes, its number of warps, and its stages of loads ahead."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Tile:
    """The size of a program: ``bm`` positions times ``bn`` channels, with ``bk`` products of each at a time."""

    bm: int
    bn: int
    bk: int
    warps: int = 4
    stages: int = 3

    def to_json(self) -> dict[str, int]:
        return asdict(self)


_PRODUCTS = (
    Tile(128, 128, 128, 8, 3),
    Tile(128, 128, 64, 8, 4),
    Tile(128, 64, 128, 4, 3),
    Tile(128, 64, 64, 4, 4),
    Tile(64, 128, 128, 4, 3),
    Tile(64, 64, 128, 4, 4),
    Tile(64, 64, 64, 4, 4),
    Tile(128, 32, 32, 4, 4),
    Tile(32, 64, 128, 4, 4),
    Tile(16, 64, 128, 4, 4),
)
SMALLEST_SLICE = 32
"""Number of int8 products that tensor cores add up at a time."""


def products(stretch: int) -> tuple[Tile, ...]:
    """Tiles to try for products over stretches of ``stretch`` bytes; slices of two stretches or more are left out."""
    return tuple(t for t in _PRODUCTS if t.bk < 2 * stretch or t.bk == SMALLEST_SLICE)


CHANNELWISE = (
    Tile(32, 64, 0, 4, 2),
    Tile(16, 128, 0, 4, 2),
    Tile(64, 32, 0, 4, 2),
    Tile(8, 128, 0, 4, 2),
    Tile(16, 64, 0, 2, 2),
)
"""Tiles to try for depthwise convolutions and pools."""


def usual_product(m: int, n: int, stretch: int) -> Tile:
    """A product's tile without measurements: as large as possible while there are some hundred programs."""
    bn = 128 if n > 64 else 64 if n > 32 else 32 if n > 16 else 16
    bm = 128 if m * n >= 128 * 128 * 64 else 64 if m > 32 else 32 if m > 16 else 16
    return Tile(bm, bn, _slice(stretch), 8 if bm * bn >= 128 * 128 else 4, 3)


def _slice(stretch: int) -> int:
    return 128 if stretch % 128 == 0 else 64 if stretch > SMALLEST_SLICE else SMALLEST_SLICE


def usual_channelwise(m: int, n: int) -> Tile:
    return Tile(32 if m >= 32 else 8, 64 if n > 32 else 32, 0, 4, 2)
