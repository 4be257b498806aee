"""Commands that start a program on each CPU, and the CPUs that saturate."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import pytest
from emulation import cpus
from emulation.cpus import (
    ARM,
    BOOT,
    EMULATED,
    HERE,
    X86,
    Cpu,
    Emulation,
    Moved,
    WholeMachine,
    command_on,
    describe_x86,
    this_machine,
)

from fxpasses import cpu as cpu_module

EMULATION = Emulation(
    Path("/qemu"), Path("/described"), Path("/root"), "usr/bin/python3.13", (Path("/one"), Path("/two"))
)
BY_NAME = {cpu.name: cpu for cpu in EMULATED}


def test_every_kind_of_int8_kernel_has_a_cpu() -> None:
    assert [cpu.name for cpu in EMULATED if cpu.saturates] == ["Haswell"]
    assert [cpu.name for cpu in EMULATED if cpu.architecture == ARM] == [
        "cortex-a72",
        "neoverse-n1",
        "max,sve=off",
        "max",
    ]


def test_a_booted_cpu_gets_a_pc_with_the_files_it_reads() -> None:
    moved = Moved((Path("/in/model.onnx"),), (Path("/out/found.npz"),))
    machine = WholeMachine(Path("/pc"), packages=(Path("/ours"),))
    command, _ = command_on(BY_NAME["tigerlake"], machine, ["program.py", "job"], moved=moved)
    assert command == [sys.executable, str(BOOT), "--machine", "/pc", "--cpu", "tigerlake",
                       "--brought", "/in/model.onnx", "--package", "/ours", "--returned", "/out/found.npz",
                       "--", "program.py", "job"]  # fmt: skip
    assert BOOT.is_file()


def test_names_of_folders_hold_nothing_that_separates_options() -> None:
    assert BY_NAME["max,sve=off"].folder_name == "max-sve-off"
    assert len({cpu.folder_name for cpu in EMULATED}) == len(EMULATED)


def test_this_machine_runs_without_qemu() -> None:
    command, environment = command_on(this_machine(), None, ["program.py", "job"])
    assert command == [sys.executable, "program.py", "job"]
    assert environment["OMP_NUM_THREADS"] == "1"


def test_x86_runs_this_interpreter_with_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/ours")
    command, environment = command_on(BY_NAME["Haswell"], EMULATION, ["program.py"])
    assert command == ["/qemu/qemu-x86_64", "-cpu", "Haswell", "-L", "/described/haswell", sys.executable, "program.py"]
    assert environment["PYTHONPATH"] == "/ours"


def test_emulated_x86_cpus_are_described_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    describe_x86(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["haswell", "nehalem"]
    for cpu, avx2 in (("nehalem", False), ("haswell", True)):
        lines = (tmp_path / cpu / "proc" / "cpuinfo").read_text().splitlines()
        monkeypatch.setattr(cpu_module, "_cpuinfo", lambda told=lines: told)
        assert ("avx2" in cpu_module.cpu_flags()) is avx2 and not cpu_module.has_vnni(cpu_module.cpu_flags())
        assert "emulated by qemu" in cpu_module.cpu_name()


def test_arm_runs_the_root_s_interpreter_with_its_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/ours")
    command, environment = command_on(BY_NAME["max"], EMULATION, ["program.py"], plugin="count.so,out=file")
    assert command == ["/qemu/qemu-aarch64", "-cpu", "max", "-plugin", "count.so,out=file", "-L", "/root",
                       "/root/usr/bin/python3.13", "program.py"]  # fmt: skip
    assert environment["PYTHONPATH"] == os.pathsep.join(("/one", "/two"))


@pytest.mark.parametrize(
    ("machine", "flags", "saturates"),
    [
        ("x86_64", ("avx2",), True),
        ("x86_64", ("avx2", "avx_vnni"), False),
        ("x86_64", ("amx_int8",), False),
        ("x86_64", ("sse4_2",), False),
        ("x86_64", (), True),
        ("aarch64", ("asimd",), False),
    ],
)
def test_whether_this_machine_saturates(
    machine: str, flags: tuple[str, ...], saturates: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(cpus, "cpu_flags", lambda: flags)
    found = this_machine()
    assert found.saturates is saturates and not found.is_emulated
    assert (found.name, found.architecture) == (HERE, X86 if machine == "x86_64" else ARM)


def test_an_emulated_cpu_is_not_run_without_qemu() -> None:
    with pytest.raises(AssertionError, match="needs qemu"):
        command_on(Cpu("max", ARM, ""), None, [])
