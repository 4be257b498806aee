"""The folder of an emulated PC with PyTorch: a root of its own beside the plain PC's parts, and a second index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from emulation.cache import Unavailable
from emulation.whole_machine import fetch_torch_machine as fetching
from emulation.whole_machine.fetch_torch_machine import CPU_BUILDS, TORCH, TORCH_RELEASE, fetch_torch_machine
from emulation.whole_machine.image import KERNEL, ROOT

NEEDS = ("bin/f2py", "sympy/core.py")
KEPT = ("bin/torchrun", "torch/bin/torch_shm_manager", "torch/lib/libtorch.so", "torch/nn/linear.py")
UNREAD = ("torch/lib/dnnl.a", "torch/include/a.h", "torch/bin/test_api", "torch/test/dict_test")


class Registry:
    """Stand-in for Debian and pip: torch's wheel and what it needs; with ``refused`` requests failing at first."""

    def __init__(self, refused: int = 0) -> None:
        self.asked: list[str] = []
        self.refused = refused

    def machine(self, cache: Path) -> Path:
        plain = cache / "plain"
        plain.mkdir(parents=True)
        for name in (KERNEL, ROOT):
            (plain / name).write_text("plain")
        return plain

    def root(self, folder: Path, release: str, unpack: Callable[[str, Path], None]) -> None:
        assert release == TORCH_RELEASE
        (folder / "root").mkdir()
        unpack("3.11", folder / "root" / "wheels")
        wheels = folder / "root" / "wheels"
        found = sorted(str(path.relative_to(wheels)) for path in wheels.rglob("*") if path.is_file())
        (folder / ROOT).write_text(" ".join(found))

    def wheels(self, requirements: Sequence[str], python: str, folder: Path, architecture: str) -> None:
        self.asked.append(" ".join(requirements))
        if len(self.asked) <= self.refused:
            raise Unavailable("pip failed", why="no such wheel", fix="look")
        for name in (*KEPT, *UNREAD) if "--no-deps" in requirements else NEEDS:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(name)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    stub = Registry()
    monkeypatch.setattr(fetching, "fetch_machine", stub.machine)
    monkeypatch.setattr(fetching, "make_root", stub.root)
    monkeypatch.setattr(fetching, "unpack_wheels", stub.wheels)
    return stub


def test_the_root_has_pytorch_and_what_it_needs_and_nothing_unread(registry: Registry, tmp_path: Path) -> None:
    machine = fetch_torch_machine(tmp_path)
    assert machine.torch == TORCH and f"torch=={TORCH}" in machine.folder.name
    assert (machine.folder / ROOT).read_text().split() == sorted([*KEPT, *NEEDS])
    assert (machine.folder / KERNEL).read_text() == "plain", "kernel and emulator are the plain PC's"
    assert [package.name for package in machine.packages] == ["fxpasses"]
    assert registry.asked[0] == f"--no-deps torch=={TORCH}" and len(registry.asked) == 2


def test_a_second_index_is_asked_where_the_first_has_no_cpu_build(registry: Registry, tmp_path: Path) -> None:
    registry.refused = 1
    fetch_torch_machine(tmp_path)
    assert registry.asked[1] == f"--no-deps --extra-index-url={CPU_BUILDS} torch=={TORCH}"


def test_without_any_cpu_build_nothing_is_left_half_made(registry: Registry, tmp_path: Path) -> None:
    registry.refused = 2
    with pytest.raises(Unavailable, match="no such wheel"):
        fetch_torch_machine(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["plain"]
