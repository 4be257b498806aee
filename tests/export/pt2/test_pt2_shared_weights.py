"""A layer that is called three times is stored once, and graphs read from older files are the same."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.export import load, save
from fxpasses.export.packed_file import load_packed, save_packed

X = torch.randn(2, 3, 18, 16, generator=torch.Generator().manual_seed(0))
WEIGHT = 32 * 16 * 3 * 3
"""Bytes of the integers of the head."""
CALLS = ["head_int8", "head_int8_call2", "head_int8_call3"]


class Pyramid(nn.Module):
    """A head on maps of three sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = self.body(x).relu()
        return [self.head(F.max_pool2d(maps, size)) for size in (1, 2, 4)]


@pytest.fixture(scope="module")
def int8() -> fx.GraphModule:
    torch.manual_seed(0)
    config = fxpasses.QuantConfig(target="x86-avx2", equalization=False, narrow_ranges=False, bias_correction=False)
    return fxpasses.quantize(Pyramid().eval(), X, [X], config)


def each_its_own(gm: fx.GraphModule) -> fx.GraphModule:
    """The graph with a copy of the integers for each call, as older versions made it."""
    made = fxpasses.graph.pass_runner.copy_graph(gm)
    for path in CALLS:
        holder = made.get_submodule(path)
        holder.register_buffer("weight", holder.get_buffer("weight").clone())
    return made


def largest_entries(path: Path) -> list[int]:
    with zipfile.ZipFile(path) as archive:
        return [info.file_size for info in archive.infolist() if info.file_size == WEIGHT]


def memory_of(gm: fx.GraphModule) -> set[int]:
    tensors = dict(gm.named_buffers(remove_duplicate=False))
    weights = [t for t in tensors.values() if t.dtype is torch.int8 and t.numel() == WEIGHT]
    assert len(weights) == len(CALLS)
    return {t.data_ptr() for t in weights}


def same(a: fx.GraphModule, b: fx.GraphModule) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a(X), b(X), strict=True))


def test_integers_are_stored_once(int8: fx.GraphModule, tmp_path: Path) -> None:
    once, older = save(int8, tmp_path / "once.pt2"), save(each_its_own(int8), tmp_path / "older.pt2")
    assert (len(largest_entries(once)), len(largest_entries(older))) == (1, 3)
    assert older.stat().st_size - once.stat().st_size >= 2 * WEIGHT
    for path, copies in ((once, 1), (older, 3)):
        loaded = load(path)
        assert same(loaded, int8) and len(memory_of(loaded)) == copies


def test_they_stay_together_when_saved_again(int8: fx.GraphModule, tmp_path: Path) -> None:
    again = save(load(save(int8, tmp_path / "a.pt2")), tmp_path / "b.pt2")
    assert len(largest_entries(again)) == 1 and same(load(again), int8)


def test_packed_files_too(int8: fx.GraphModule, tmp_path: Path) -> None:
    once, older = save_packed(int8, tmp_path / "a.fxbits"), save_packed(each_its_own(int8), tmp_path / "b.fxbits")
    assert same(load_packed(once), int8) and same(load_packed(older), int8)
    assert len(memory_of(load_packed(once))) == 1


def test_kernels_compute_the_same(int8: fx.GraphModule) -> None:
    fast, own = fxpasses.export.to_torch(int8), fxpasses.export.to_torch(each_its_own(int8))
    assert all(torch.equal(x, y) for x, y in zip(fast(X), own(X), strict=True))
