"""``--explain-repairs``: the repairs in use, and the gain of each."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cli_runs import fxpasses

from fxpasses.cli.static.repair_account import repair_steps
from fxpasses.quantization.config import Override, QuantConfig

NOTHING = QuantConfig(
    equalization=False, bias_correction=False, pixel_grid=False, float_results=False, narrow_ranges=False
)


def names(config: QuantConfig) -> list[str]:
    return [step.repair for step in repair_steps(config)]


def test_the_default_recipe() -> None:
    steps = repair_steps(QuantConfig())
    assert [s.repair for s in steps] == [
        *("none", "range search", "bias correction", "equalization", "pixel grid"),
        *("float results", "narrow ranges"),
    ]
    assert steps[1].setting == "observer histogram"
    assert steps[-1].config == QuantConfig()
    assert steps[0].config == replace(NOTHING, observer="minmax")


def test_each_step_adds_to_those_before() -> None:
    everything = QuantConfig(
        weight_bits=4, weight_search="mse", smoothing="auto", rounding="learned", overrides=(Override("fc", True),)
    )
    steps = repair_steps(everything)
    assert [s.repair for s in steps] == [
        *("none", "range search", "weight range search", "bias correction", "smoothing", "equalization"),
        *("float results", "narrow ranges", "learned rounding"),
    ]
    assert steps[-1].config == everything
    assert all(s.config.overrides == everything.overrides and s.config.weight_bits == 4 for s in steps)
    assert steps[0].setting.endswith(", 4-bit weights")
    assert names(replace(everything, rounding="nearest", reestimation=True))[-1] == "re-estimation"


def test_what_is_not_in_use_has_no_row() -> None:
    assert names(replace(NOTHING, observer="minmax")) == ["none"]
    assert names(QuantConfig(exact=True))[-2:] == ["equalization", "narrow ranges"], "proofs are about integers"


@pytest.mark.slow
@pytest.mark.parametrize("observer", ["sweep", "moving_average"])
def test_the_report_has_them(tmp_path: Path, observer: str) -> None:
    out = tmp_path / "out"
    told = fxpasses(
        *("quantize", "digits_cnn", "--data", "digits", "--observer", observer, "--smooth", "auto"),
        *("--calib", "96", "--eval", "64", "--no-bench", "--threads", "1", "--explain-repairs", "--out", out),
    )
    assert told.code == 0, told.err
    found = json.loads((out / "report.json").read_text())["repairs"]
    assert found["images"] == 96
    rows = [(s["repair"], s["setting"]) for s in found["steps"]]
    assert rows[0][0] == "none"
    assert ("smoothing", "alpha auto") in rows
    assert ("equalization", "") in rows
    assert all(s["sqnr_db"] > 10 for s in found["steps"])
    assert "equalization" in told.out
    assert "What each repair gained" in (out / "report.html").read_text()
