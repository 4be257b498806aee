"""``quantize --qat``: its options, its refusals, and its results."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from cli_runs import SMALL, fxpasses

from fxpasses.cli.options.methods import refuse_beside_qat
from fxpasses.cli.options.quantize import QuantizeOptions
from fxpasses.cli.options.source import MeasureOptions
from fxpasses.cli.options.table import options_of
from fxpasses.cli.static.asked import qat_of, settings_of
from fxpasses.errors import InputError
from fxpasses.formats.report import Report

FEW_BITS = QuantizeOptions(bits=4, activation_bits=3)
TABLE = {option.spelling: option.row for option in options_of(QuantizeOptions)}
ALONE = [name for name, row in TABLE.items() if row.beside_qat == "only"]
ALIEN = [name for name, row in TABLE.items() if row.beside_qat == "never"]


def test_it_takes_the_bits_for_itself() -> None:
    settings = settings_of(replace(FEW_BITS, qat=2.0, lr=0.5), MeasureOptions(), 7)
    asked, config = settings.qat, settings.config
    assert asked is not None and (asked.weight_bits, asked.activation_bits) == (4, 3)
    assert (asked.run.epochs, asked.run.lr, asked.run.seed) == (2.0, 0.5, 7)
    assert (config.weight_bits, config.activation_bits, config.group_size) == (8, 8, None)


def test_without_it_nothing_changes() -> None:
    settings = settings_of(QuantizeOptions(bits=4), MeasureOptions(), 0)
    assert settings.qat is None and settings.config.weight_bits == 4
    refuse_beside_qat(is_trained=False, given=["--recipe"])


@pytest.mark.parametrize("name", ALONE)
def test_its_options_alone(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} without --qat"):
        refuse_beside_qat(is_trained=False, given=[name])
    refuse_beside_qat(is_trained=True, given=["--qat", name])  # the remedy


@pytest.mark.parametrize("name", ALIEN)
def test_what_it_has_no_use_for(name: str) -> None:
    with pytest.raises(InputError, match=f"--qat with {name}"):
        refuse_beside_qat(is_trained=True, given=["--qat", name])


def test_both_kinds_are_in_the_table() -> None:
    assert set(ALONE) == {"--lr", "--augment", "--checkpoint"}
    assert {"--recipe", "--observer", "--rounding"} < set(ALIEN)


@pytest.mark.parametrize("bits", [1, 9, 16])
def test_bits_that_it_cannot_train(bits: int) -> None:
    with pytest.raises(InputError, match="2 to 8 bits"):
        qat_of(replace(FEW_BITS, qat=1.0, activation_bits=bits), 0)


@pytest.mark.slow
def test_from_the_command_line_to_the_report(tmp_path: Path) -> None:
    few = ("--qat", "0.2", "--bits", "4", "--activation-bits", "4", "--target", "x86-avx2")
    path = tmp_path / "run.pt"
    run = fxpasses("quantize", *SMALL, *few, "--checkpoint", path, "--out", tmp_path / "out")
    assert run.code == 0, run.err
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    Report.model_validate(report)
    assert [point["phase"] for point in report["training"]] == ["open", "frozen"]
    assert report["parity"]["max_lsb"] == 0 and "Training" in (tmp_path / "out" / "report.html").read_text()
    lines = [line for line in run.err.splitlines() if line.startswith("train   epoch ")]
    assert [line.split(", ")[1].split(":")[0] for line in lines if "in this step" not in line] == ["open", "frozen"]
    assert all(re.search(r"loss \d+\.\d{3}, \d+\.\d % right.*, (\d+ h )?\d+ (min|s) left$", line) for line in lines)
    assert "int8 was trained from random weights" in run.out and "weights are random" not in run.out
    assert not any("far from float" in text for text in report["warnings"])


def test_data_without_labels(tmp_path: Path) -> None:
    run = fxpasses(
        *("quantize", "digits_cnn", "--data", "random=1x8x8", "--qat", "1", "--no-bench", "--out", tmp_path / "out")
    )
    assert run.code == 2 and "it has no labels" in run.err
