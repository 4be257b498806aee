"""Fetched files and their layout; a second call fetches nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from emulation import fetching
from emulation.cache import Unavailable
from emulation.cpus import Emulation
from emulation.fetching import (
    ARM_TORCH,
    COUNTER,
    PLUGIN,
    fetch_counting,
    fetch_emulation,
    fetch_torch,
    python_of,
    with_project,
)


class Registry:
    """Stand-in for apt and pip: it unpacks empty files with the right names, and records the requests."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def debian(self, packages: Sequence[str], architecture: str, folder: Path, release: str = "") -> None:
        self.asked.append(f"{packages[0]}:{architecture} {release}")
        binaries = {"amd64": ("qemu-x86_64", "qemu-aarch64"), "arm64": ("python3", "python3.13", "tar")}[architecture]
        (folder / "usr" / "bin").mkdir(parents=True)
        for name in binaries:
            (folder / "usr" / "bin" / name).touch()
        for name in ("lib/x86_64-linux-gnu/libz.so.1", "lib64/ld-linux-x86-64.so.2", "usr/lib/python3/other.so"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()

    def wheels(self, requirements: Sequence[str], python: str, folder: Path) -> None:
        self.asked.append(f"{' '.join(requirements)} for {python}")
        folder.mkdir(exist_ok=True)

    def tool(self, command: Sequence[str], settings: object = None) -> str:
        self.asked.append(Path(command[0]).name)
        return f"model name : {command[2]}\n"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    stub = Registry()
    monkeypatch.setattr(fetching, "unpack_debian", stub.debian)
    monkeypatch.setattr(fetching, "unpack_wheels", stub.wheels)
    monkeypatch.setattr(fetching, "run_tool", stub.tool)
    return stub


def test_all_is_fetched_once(tmp_path: Path, registry: Registry) -> None:
    emulation = fetch_emulation(tmp_path)
    assert [asked.partition(" ")[0] for asked in registry.asked[:2]] == ["qemu-user:amd64", "python3-minimal:arm64"]
    assert registry.asked[2].startswith("onnxruntime==") and registry.asked[2].endswith("numpy for 3.13")
    assert (emulation.qemu / "qemu-aarch64").exists() and not (emulation.qemu / "all").exists()
    assert emulation.arm_python == "usr/bin/python3.13"
    assert emulation.arm_root is not None and (emulation.arm_root / "bin").readlink() == Path("usr/bin")
    count = len(registry.asked)
    assert fetch_emulation(tmp_path) == emulation and len(registry.asked) == count


def test_what_fails_leaves_what_was_done_before(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(requirements: Sequence[str], python: str, folder: Path) -> None:
        raise Unavailable("pip failed", why="no network", fix="look at it")

    monkeypatch.setattr(fetching, "unpack_wheels", refuse)
    with pytest.raises(Unavailable, match="no network"):
        fetch_emulation(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    registry.asked.clear()
    monkeypatch.setattr(fetching, "unpack_wheels", registry.wheels)
    fetch_emulation(tmp_path)
    assert len(registry.asked) == 1


def test_each_arm_cpu_is_described_where_instructions_are_counted(tmp_path: Path, registry: Registry) -> None:
    emulation = fetch_emulation(tmp_path)
    counting = fetch_counting(tmp_path, emulation)
    assert list(counting) == ["cortex-a72", "neoverse-n1", "max,sve=off", "max"]
    for name, found in counting.items():
        root = found.arm_root
        assert root is not None and root != emulation.arm_root
        assert (root / "proc" / "cpuinfo").read_text().startswith(f"model name : {name}\n")
        assert (root / "sys/devices/system/cpu/possible").read_text() == "0\n"
        assert (root / "usr" / "bin" / "python3.13").exists()
        assert (found.qemu / "lib" / "qemu-aarch64").exists() and (found.qemu / "lib" / "libz.so.1").exists()
        assert (found.qemu / "qemu-aarch64").stat().st_mode & 0o111


def test_pytorch_comes_without_what_pip_thinks_it_needs(tmp_path: Path, registry: Registry) -> None:
    with_torch = fetch_torch(tmp_path, fetch_emulation(tmp_path))
    assert f"--no-deps torch=={ARM_TORCH} for 3.13" in registry.asked
    assert [wheels.name for wheels in with_torch.arm_wheels] == ["torch", "needs"]


def test_our_own_code_comes_first(tmp_path: Path) -> None:
    found = with_project(Emulation(tmp_path, arm_wheels=(tmp_path / "torch",)), tmp_path / "project")
    assert found.arm_wheels == (tmp_path / "project", tmp_path / "torch")
    assert (tmp_path / "project" / "fxpasses" / "errors.py").exists()
    assert len(list((tmp_path / "project").iterdir())) == 1


def test_a_root_without_python(tmp_path: Path) -> None:
    (tmp_path / "usr" / "bin").mkdir(parents=True)
    with pytest.raises(Unavailable, match="its packages hold none"):
        python_of(tmp_path)


def test_the_plugin_compiles_without_warnings(tmp_path: Path) -> None:
    command = [
        "gcc",
        "-shared",
        "-fPIC",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-o",
        str(tmp_path / PLUGIN),
        str(COUNTER),
    ]
    subprocess.run(command, check=True)
