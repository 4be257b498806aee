"""The script: its plan, its output if nothing can be fetched, and one run from end to end."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import every_cpu
import pytest
from bundle_folders import bundle
from emulation.cache import Unavailable
from emulation.checks import Check
from emulation.cpus import ARM, EMULATED, HERE, Emulation, WholeMachine
from emulation.int8_files import TINY_NETS, Int8File
from emulation.outcome import ONNXRUNTIME, TORCH
from rich.console import Console

ENDS_IN_FLOATS = "tiny squeeze-excite"
"""Net whose last product is of floats, since only the caller reads it; each runtime rounds it differently."""
FEW_CPUS = ("Haswell", "cortex-a72", "tigerlake")
"""One CPU of each kind, x86 without and with VNNI, and ARM: each takes up to a minute."""
SCRIPT = Path(every_cpu.__file__)
TINY = TINY_NETS[0].name
NOWHERE = "no Debian mirror: the sources of this machine's apt name none"


@pytest.fixture
def said() -> Console:
    return Console(file=io.StringIO())


def unavailable(*ignored: object) -> Emulation:
    raise Unavailable("no Debian mirror", why="the sources of this machine's apt name none", fix="use Debian")


def file_of(net: str) -> Int8File:
    return Int8File(net, "arm", Path("nowhere"), {}, (None,), "")


def planned(monkeypatch: pytest.MonkeyPatch, folder: Path, said: Console, *arguments: str) -> list[Check]:
    emulation = Emulation(folder / "qemu", arm_root=folder / "root", arm_python="python")
    counting = {cpu.name: emulation for cpu in EMULATED if cpu.architecture == ARM}
    monkeypatch.setattr(every_cpu, "fetch_emulation", lambda cache: emulation)
    monkeypatch.setattr(every_cpu, "fetch_counting", lambda cache, emulation: counting)
    monkeypatch.setattr(every_cpu, "fetch_torch", lambda cache, emulation: emulation)
    monkeypatch.setattr(every_cpu, "fetch_machine", lambda cache: folder / "pc")
    monkeypatch.setattr(every_cpu, "fetch_torch_machine", lambda cache: WholeMachine(folder / "pc with torch"))
    files = [file_of(TINY), file_of("cifar_resnet20")]
    return every_cpu.planned(every_cpu.parse(list(arguments)), files, folder, said)


def test_every_cpu_runs_all_files_and_a_few_in_pytorch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: Console
) -> None:
    checks = planned(monkeypatch, tmp_path, said)
    in_onnxruntime, in_torch = ([c for c in checks if c.runtime == runtime] for runtime in (ONNXRUNTIME, TORCH))
    assert [c.cpu.name for c in in_onnxruntime] == [HERE, *(cpu.name for cpu in EMULATED)]
    assert [c.cpu.name for c in in_torch] == [HERE, *(cpu.name for cpu in EMULATED)]
    for found, pc in ((in_onnxruntime, "pc"), (in_torch, "pc with torch")):
        booted = [(c.cpu.name, c.emulation.folder.name) for c in found if isinstance(c.emulation, WholeMachine)]
        assert booted == [("tigerlake", pc), ("arrow_lake", pc)], "each runtime has a PC of its own"
    assert {len(c.files) for c in in_onnxruntime} == {2} and {len(c.files) for c in in_torch} == {1}
    assert len({c.folder for c in checks}) == len(checks)
    assert [c.cpu.name for c in checks if c.counting] == [cpu.name for cpu in EMULATED if cpu.architecture == ARM]


def test_some_cpus_without_pytorch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: Console) -> None:
    checks = planned(monkeypatch, tmp_path, said, "--cpus", "max", "--torch-nets")
    assert [(c.cpu.name, c.runtime) for c in checks] == [(HERE, ONNXRUNTIME), ("max", ONNXRUNTIME)]


def test_quick_imports_pytorch_three_times_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: Console) -> None:
    checks = planned(monkeypatch, tmp_path, said, "--quick")
    assert [c.cpu.name for c in checks if c.runtime == TORCH] == [HERE, "Haswell", "neoverse-n1"]
    tried = [c.cpu.name for c in checks if c.runtime == ONNXRUNTIME]
    assert tried == [HERE, *(cpu.name for cpu in EMULATED if cpu.name != "arrow_lake")], "one PC is booted, not two"


def test_without_options_nothing_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: Console) -> None:
    checks = planned(monkeypatch, tmp_path, said, "--without-options")
    assert not any(check.use_options for check in checks)


@pytest.mark.slow
def test_without_a_registry_only_this_machine_is_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(every_cpu, "fetch_emulation", unavailable)
    out, cache = tmp_path / "out.json", tmp_path / "cache"
    arguments = ["--nets", TINY, "--targets", "x86-avx2", "--torch-nets", "--cpus", "max", "--cache", str(cache)]
    assert every_cpu.main([*arguments, "--out", str(out)], io.StringIO()) == 0
    shown = capsys.readouterr().out
    assert f"skipped: max in onnxruntime: {NOWHERE}" in shown
    assert "1 of 1 give exact arithmetic's integers, on 1 CPUs; 1 skipped" in shown
    by_cpu = {outcome["cpu"]: outcome for outcome in json.loads(out.read_text())["outcomes"]}
    here, emulated = by_cpu[HERE], by_cpu["max"]
    assert here["difference"]["max_lsb"] == 0
    assert emulated["skipped"] and emulated["why_not"] == NOWHERE


def test_counting_may_fail_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: Console) -> None:
    monkeypatch.setattr(
        every_cpu, "fetch_emulation", lambda cache: Emulation(tmp_path, arm_root=tmp_path, arm_python="python")
    )
    monkeypatch.setattr(every_cpu, "fetch_counting", unavailable)
    monkeypatch.setattr(every_cpu, "fetch_machine", lambda cache: tmp_path / "pc")
    checks = every_cpu.planned(every_cpu.parse(["--torch-nets"]), [file_of(TINY)], tmp_path, said)
    assert {c.why_uncounted for c in checks if c.cpu.architecture == ARM} == {NOWHERE}
    assert not any(c.why_not for c in checks)


@pytest.mark.parametrize("wrong", [["--nets", "resnet5"], ["--cpus", "Pentium"], ["--targets", "cuda"]])
def test_unknown_names_are_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        every_cpu.parse(wrong)
    assert caught.value.code == 2 and f"invalid choice: '{wrong[1]}'" in capsys.readouterr().err


@pytest.mark.slow  # fetches qemu, an ARM root and a PC, and emulates three CPUs
def test_quick_run_from_end_to_end(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    command = [sys.executable, str(SCRIPT), "--quick", "--cpus", *FEW_CPUS, "--torch-nets", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    outcomes = json.loads(out.read_text())["outcomes"]
    skipped = {outcome["why_not"] for outcome in outcomes if outcome["skipped"]}
    if skipped:
        pytest.skip("; ".join(sorted(skipped)))  # apt, its mirror or pip cannot be had on this machine
    assert done.returncode == 0, done.stdout
    assert {outcome["cpu"] for outcome in outcomes} == {HERE, *FEW_CPUS}
    assert len(outcomes) == 7 * 3 * 4, "seven nets, three targets, three emulated CPUs and this one"
    assert {round(outcome["difference"]["max_lsb"]) for outcome in outcomes} == {0}
    exact = [outcome for outcome in outcomes if outcome["net"] != ENDS_IN_FLOATS]
    assert {outcome["difference"]["differing"] for outcome in exact} == {0}


@pytest.mark.slow  # starts the script, and waits for it to be at work
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_run_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    command = [sys.executable, str(SCRIPT), "--nets", TINY, "--cpus", "--torch-nets", "--cache", str(tmp_path / "c")]
    run = subprocess.Popen(
        command, env={**os.environ, "TMPDIR": str(temporary)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not list(temporary.glob("every_cpu-*/*")):
        time.sleep(0.1)
        assert run.poll() is None, "it ended before it was interrupted"
    run.send_signal(number)
    assert run.wait(60) not in (0, 1)
    assert not list(temporary.iterdir())


@pytest.mark.slow
def test_bundles_are_tested_on_every_cpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: Console) -> None:
    emulation = Emulation(tmp_path / "qemu", arm_root=tmp_path / "root", arm_python="python")
    monkeypatch.setattr(every_cpu, "fetch_emulation", lambda cache: emulation)
    monkeypatch.setattr(every_cpu, "fetch_machine", lambda cache: tmp_path / "pc")
    tests = every_cpu.planned_bundles(every_cpu.parse(["--bundles", str(bundle())]), tmp_path, said)
    assert [test.cpu.name for test in tests] == [HERE, *(cpu.name for cpu in EMULATED)]
    assert tests[0].emulation is None and all(test.emulation is not None for test in tests[1:])
    assert {tuple(test.bundles) for test in tests} == {(tmp_path / "bundles" / "0" / "app",)}
    monkeypatch.setattr(every_cpu, "fetch_emulation", unavailable)
    chosen = every_cpu.parse(["--bundles", str(bundle()), "--cpus", "max"])
    here, there = every_cpu.planned_bundles(chosen, tmp_path / "again", said)
    assert here.why_not is None and there.why_not == NOWHERE


def test_bundles_from_end_to_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(every_cpu, "fetch_emulation", unavailable)
    out, told = tmp_path / "cpus.json", io.StringIO()
    chosen = ["--bundles", str(bundle()), "--cpus", "max", "--out", str(out), "--cache", str(tmp_path / "none")]
    handler = signal.getsignal(signal.SIGTERM)
    try:
        assert every_cpu.main(chosen, told) == 0
    finally:
        signal.signal(signal.SIGTERM, handler)
    outcomes = json.loads(out.read_text())["outcomes"]
    assert sorted(outcome["skipped"] for outcome in outcomes) == [False] * 4 + [True]
