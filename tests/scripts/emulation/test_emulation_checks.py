"""A check of one CPU with this machine: files are run, compared and counted, and failures are described."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from emulation import checks
from emulation.checks import RUNS, Check, outcomes_of
from emulation.children import Children
from emulation.cpus import ARM, EMULATED, Emulation, WholeMachine, this_machine
from emulation.fetching import ARM_TORCH
from emulation.int8_files import TINY_NETS, Int8File, make_files
from emulation.jobs import Job
from emulation.outcome import ONNXRUNTIME, TORCH, Instructions

from fxpasses.export.exact_sums import EXACT_SUMS


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Int8File:
    (made,) = make_files(TINY_NETS[0], ["x86-avx2"], tmp_path_factory.mktemp("files"), None)
    return made


def check_of(*files: Int8File, folder: Path) -> Check:
    return Check(this_machine(), ONNXRUNTIME, files, folder / "ran")


def test_exact_files_are_told_from_those_that_are_not(file: Int8File, tmp_path: Path) -> None:
    wrong = replace(file, net="wrong", folder=tmp_path / "wrong")
    wrong.folder.mkdir()
    for part in file.folder.iterdir():
        (wrong.folder / part.name).symlink_to(part)
    (wrong.folder / "exact.npz").unlink()
    np.savez(wrong.folder / "exact.npz", *(y + np.float32(1) for y in file.exact()))
    missing = replace(file, net="missing", folder=tmp_path / "missing")
    exact, far, absent = outcomes_of(check_of(file, wrong, missing, folder=tmp_path), Children())
    assert exact.difference is not None and exact.difference.differing == 0 and exact.is_good
    assert far.difference is not None and far.difference.max_lsb > 1 and not far.is_good
    assert absent.difference is None and "NoSuchFile" in str(absent.why_not) and not absent.is_good


def test_a_cpu_that_cannot_be_emulated_is_skipped(file: Int8File, tmp_path: Path) -> None:
    check = replace(check_of(file, folder=tmp_path), why_not="no network")
    (outcome,) = outcomes_of(check, Children())
    assert outcome.skipped and outcome.why_not == "no network" and outcome.is_good


@pytest.mark.parametrize(
    ("saturates", "use_options", "told"), [(True, True, True), (False, True, False), (True, False, False)]
)
def test_options_are_set_only_where_products_saturate(
    file: Int8File, tmp_path: Path, saturates: bool, use_options: bool, told: bool
) -> None:
    full = replace(file, needs=EXACT_SUMS)
    cpu = replace(this_machine(), saturates=saturates)
    check = replace(check_of(full, folder=tmp_path), cpu=cpu, use_options=use_options)
    assert check.options_for(full) == (EXACT_SUMS if told else {})
    assert replace(check, runtime=TORCH).options_for(full) == {}


def test_instructions_are_counted_in_a_run_of_their_own(
    file: Int8File, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def count(job: Job, children: Children) -> dict[str, str | None]:
        job.folder.mkdir()
        command, _ = job.command(job.folder / "job.json")
        assert f"{tmp_path}/instructions.so,out={job.folder}/marks.txt" in command
        assert [entry["runs"] for entry in job.files] == [RUNS]
        (job.folder / "marks.txt").write_text("0 0 0\n900 90 0\n1000 100 0\n1100 110 0\n")
        return {file.name: None}

    arm = next(cpu for cpu in EMULATED if cpu.architecture == ARM)
    counting = Emulation(tmp_path, arm_root=tmp_path, arm_python="python")
    entries = [{"name": file.name}]
    monkeypatch.setattr(checks, "run_job", count)
    counted = checks._counted(replace(check_of(file, folder=tmp_path), cpu=arm, counting=counting,
                                      folder=tmp_path), entries, Children())  # fmt: skip
    assert counted == {file.name: Instructions(100, 10, 0)}


def test_why_nothing_is_counted_is_told(file: Int8File, tmp_path: Path) -> None:
    (outcome,) = outcomes_of(replace(check_of(file, folder=tmp_path), why_uncounted="no gcc"), Children())
    assert outcome.instructions is None and outcome.why_uncounted == "no gcc" and outcome.is_good


def test_pytorch_on_arm_has_a_version_of_its_own(file: Int8File, tmp_path: Path) -> None:
    in_torch = replace(check_of(file, folder=tmp_path), runtime=TORCH)
    arm = next(cpu for cpu in EMULATED if cpu.architecture == ARM)
    assert replace(in_torch, cpu=arm).version == ARM_TORCH


@pytest.mark.parametrize(("runtime", "model"), [(ONNXRUNTIME, "model.onnx"), (TORCH, "model.pt2")])
def test_a_pc_gets_the_files_and_sends_the_outputs(
    file: Int8File, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str, model: str
) -> None:
    def run(job: Job, children: Children) -> dict[str, str | None]:
        command, _ = job.command(tmp_path / "job.json")
        moved = {flag: [b for a, b in pairwise(command) if a == flag] for flag in ("--brought", "--returned")}
        assert sorted(moved["--brought"]) == [str(file.folder / "inputs.npz"), str(file.folder / model)]
        assert len(moved["--returned"]) == 1 and command[-1] == str(tmp_path / "job.json")
        return {file.name: "not run"}

    monkeypatch.setattr(checks, "run_job", run)
    booted = next(cpu for cpu in EMULATED if cpu.is_booted)
    machine = WholeMachine(tmp_path, torch="2.13.0+cpu")
    check = replace(check_of(file, folder=tmp_path), cpu=booted, emulation=machine, runtime=runtime)
    (outcome,) = outcomes_of(check, Children())
    assert outcome.why_not == "not run"
    assert (outcome.version == "2.13.0+cpu") is (runtime == TORCH), "PyTorch is another one there"
