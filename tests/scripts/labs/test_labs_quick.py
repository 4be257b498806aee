"""Every lab with its quick settings: each question has a finite number, and known relations hold."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from lab_report import LabReport, LabSettings, run_lab
from notebooks import lab_named

from fxpasses.errors import InputError

NEEDS = {
    "mnist_sst2": ("mnist", "sst2"),
    "driving": ("driving",),
    "linear_quantization": ("mnist", "models", "spoken_digits", "cifar10"),
    "resnet18_cifar10": ("cifar10",),
}
QUESTIONS = {"mnist_sst2": 140, "driving": 36, "linear_quantization": 130, "resnet18_cifar10": 65}
"""Least number of answers of each lab."""


def _run(name: str, data: Path, out: Path) -> LabReport:
    missing = [needed for needed in NEEDS[name] if not (data / needed).is_dir()]
    if missing:
        pytest.skip(f"lab {name} needs {', '.join(missing)} in the folder of real data")
    return run_lab(lab_named(name), LabSettings(data, out, quick=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", NEEDS)
def test_every_question_has_a_finite_number(name: str, lab_data: Path, tmp_path: Path) -> None:
    report = _run(name, lab_data, tmp_path / "out")
    answers = {answer.number: answer.value for answer in report.answers}
    assert all(math.isfinite(value) for value in answers.values())
    assert len(answers) >= QUESTIONS[name]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in report.plots.values())
    for number, low, high in MUST_HOLD[name]:
        assert low <= answers[number] <= high, (number, answers[number])


MUST_HOLD: dict[str, tuple[tuple[str, float, float], ...]] = {
    "mnist_sst2": (("1.1a", 95.8, 100), ("1.2a", 77, 100), ("2.1g", 0, 0), ("2.2g", 0, 0)),
    "driving": (("4.a", 1, 1), ("4.b", 1, 1), ("4.c", 0, 0), ("4.d", 0.2, 0.3)),
    "linear_quantization": (
        *((f"4.{net}{letter}", 0, 0) for net in (1, 2) for letter in "bc"),
        ("2.1a", 97.5, 100),
        ("3.1b2", 98, 100),
        ("8.1", 0, 26),
        ("8.5", 0, 0),
    ),
    "resnet18_cifar10": (("1.4", 60, 80), ("1.17", 0, 1), ("2.0a", 21, 21), ("3.1a", 1, 1), ("3.2a", 20, 20)),
}


def test_a_folder_without_the_data_is_named(tmp_path: Path) -> None:
    for name in NEEDS:
        with pytest.raises((InputError, FileNotFoundError), match=str(tmp_path)):
            lab_named(name).begin(LabReport(name, name, LabSettings(tmp_path, tmp_path / "out", True)))
