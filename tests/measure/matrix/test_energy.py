"""Counters of energy are read from folders like those of Linux; if there are none, the reason is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from fxpasses.measure.matrix.energy import Meters, meters_of, nvml, rapl


def package(powercap: Path, name: str, energy_uj: int, most: int = 1000_000_000) -> Path:
    folder = powercap / name
    folder.mkdir(parents=True)
    (folder / "max_energy_range_uj").write_text(f"{most}\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    return folder / "energy_uj"


def test_packages_are_added_and_their_parts_are_not(tmp_path: Path) -> None:
    first, second = package(tmp_path, "intel-rapl:0", 5_000_000), package(tmp_path, "intel-rapl:1", 7_000_000)
    part = package(tmp_path, "intel-rapl:0:0", 1_000_000)
    source = rapl(tmp_path)
    assert source.why is None and source.meter is not None and source.meter() == 0.0
    first.write_text("6500000\n")
    second.write_text("7250000\n")
    part.write_text("9000000\n")
    assert source.meter() == pytest.approx(1.75)


def test_a_counter_that_starts_again(tmp_path: Path) -> None:
    file = package(tmp_path, "intel-rapl:0", 999_000_000, most=1000_000_000 - 1)
    source = rapl(tmp_path)
    assert source.meter is not None
    file.write_text("500000\n")
    assert source.meter() == pytest.approx(1.5)
    file.write_text("1500000\n")
    assert source.meter() == pytest.approx(2.5)


def test_where_there_is_none(tmp_path: Path) -> None:
    assert "there is no" in str(rapl(tmp_path / "absent").why)
    assert "no package has a counter" in str(rapl(tmp_path).why)
    package(tmp_path, "intel-rapl:0", 0).write_text("soon\n")
    assert "intel-rapl:0" in str(rapl(tmp_path).why)
    assert nvml(library="libno-such-driver.so").why is not None


def test_a_counter_that_may_not_be_read(tmp_path: Path) -> None:
    """The counter's file is a folder here, because root may read every file."""
    file = package(tmp_path, "intel-rapl:0", 0)
    file.unlink()
    file.mkdir()
    assert "intel-rapl:0: Is a directory" in str(rapl(tmp_path).why)


def test_what_is_read_is_told() -> None:
    told = meters_of(["cpu", "cuda", "cpu"]).told()
    assert len(told) == 2 and all(text.startswith("energy of ") for text in told)
    assert Meters({}).joules("cpu") is None
