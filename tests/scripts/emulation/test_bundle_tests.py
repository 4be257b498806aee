"""Self-tests of bundles as outcomes: run for real on this machine, and read where something is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from bundle_folders import bundle
from emulation.bundle_tests import BundleTest, self_tests, unpacked
from emulation.children import Children
from emulation.cpus import Cpu, this_machine

HASWELL = Cpu("Haswell", "x86_64", "AVX2", saturates=True)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return unpacked([bundle()], tmp_path_factory.mktemp("unpacked"))


def printing(folder: Path, lines: str) -> list[Path]:
    """A bundle whose run.py prints this."""
    place = unpacked([bundle()], folder)[0]
    about = place / "bundle.json"
    about.write_text(about.read_text().replace('"session_options": {}', '"session_options": {"a": "1"}'))
    (place / "run.py").write_text(lines)
    return [place]


def test_on_this_machine(folders: list[Path], tmp_path: Path) -> None:
    with Children() as children:
        found = self_tests(BundleTest(this_machine(), folders, tmp_path), children)
    assert [outcome.file for outcome in found] == [
        f"app, {name}" for name in ("model.int8.onnx", "image.int8.onnx", "model.int8.ort", "image.int8.ort")
    ]
    assert all(o.is_good and o.difference and o.difference.max_lsb == 0 and o.version for o in found)
    assert {outcome.target for outcome in found} == {"arm"}


def test_a_cpu_that_cannot_be_emulated(folders: list[Path], tmp_path: Path) -> None:
    with Children() as children:
        (found,) = self_tests(BundleTest(HASWELL, folders, tmp_path, why_not="no qemu"), children)
    assert found.skipped and found.why_not == "no qemu" and found.is_good


def test_what_is_said_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from emulation import bundle_tests

    said = "model.int8.onnx: OTHER integers; largest difference 2.5 LSB, 3 of 8 values differ"
    excused = "model.int8.ort: OTHER integers; use .onnx on this CPU; largest difference 9 LSB, 8 of 8 values differ"
    told = f"print({said!r}); print({excused!r}); print('self-test FAILED: onnxruntime 1.2.3 on a CPU')"
    place = printing(tmp_path / "app", told)
    monkeypatch.setattr(bundle_tests, "read_about", lambda folder: type("About", (), {"target": "x86"}))
    with Children() as children:
        wrong, skipped = self_tests(BundleTest(this_machine(), place, tmp_path), children)
    assert wrong.difference is not None and (wrong.difference.max_lsb, wrong.difference.differing) == (2.5, 3)
    assert not wrong.is_good and wrong.version == "1.2.3"
    assert skipped.skipped and "cannot take session options" in (skipped.why_not or "")


def test_a_self_test_that_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from emulation import bundle_tests

    place = printing(tmp_path / "app", "raise SystemExit('error: it dies of an illegal instruction')")
    monkeypatch.setattr(bundle_tests, "read_about", lambda folder: type("About", (), {"target": "x86"}))
    with Children() as children:
        (found,) = self_tests(BundleTest(this_machine(), place, tmp_path), children)
    assert not found.is_good and found.why_not == "error: it dies of an illegal instruction"
