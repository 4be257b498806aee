"""Placement measured in onnxruntime."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import torch
from cli_runs import SMALL, is_refused
from cli_runs import fxpasses as run_fxpasses
from placement_cases import CONFIG, observed_with
from rich.console import Console

from fxpasses.cli.static.placing import check_placement, lines_of, measured_placement
from fxpasses.cli.terminal import Terminal
from fxpasses.errors import InputError
from fxpasses.quantization.config import QuantConfig
from fxpasses.sensitivity.search.placement import Placement, Tried


@pytest.mark.slow
def test_every_candidate_is_timed() -> None:
    told = io.StringIO()
    terminal = Terminal(Console(file=told, width=200), Console(file=io.StringIO()))
    found = measured_placement(observed_with(CONFIG), CONFIG, lambda batch: (torch.randn(batch, 3, 4, 4),), terminal)
    assert [t.operator for t in found.tried] == ["add", "sigmoid", "mul"] and all(t.speedup > 0 for t in found.tried)
    assert len(found.config.overrides) >= sum(t.in_float for t in found.tried)
    assert told.getvalue().count("placement") == 3


def test_what_is_told() -> None:
    tried = (Tried("hardswish", 21, 1.08, True), Tried("add", 10, 0.93, False))
    assert lines_of(Placement(CONFIG, tried)) == [
        "placement  21 × hardswish in float: 1.08 times as fast, so they stay there",
        "placement  10 × add in float: 0.93 times as fast, so they stay in int8",
    ]


def test_unknown_names() -> None:
    check_placement("measured", CONFIG)
    with pytest.raises(InputError, match="use all or measured"):
        check_placement("fastest", CONFIG)


def test_16_bits_are_not_placed() -> None:
    check_placement("all", QuantConfig(activation_bits=16))
    with pytest.raises(InputError, match=r"--activation-bits 16(.|\n)*drop one"):
        check_placement("measured", QuantConfig(activation_bits=16))


@pytest.mark.slow
def test_from_the_command_line(tmp_path: Path) -> None:
    done = run_fxpasses("quantize", *SMALL, "--placement", "measured", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    tried = report["placement"]
    assert tried and all(set(t) == {"operator", "nodes", "speedup", "in_float"} for t in tried)
    kept = {o["match"] for o in report["recipe"]["overrides"] if o["match"].startswith("operator:")}
    assert kept == {f"operator:{t['operator']}" for t in tried if t["in_float"]}
    assert done.out.count("placement  ") == len(tried)


def test_what_it_does_not_go_with(tmp_path: Path) -> None:
    searched = run_fxpasses("quantize", *SMALL, "--placement", "measured", "--max-drop", "1", "--out", tmp_path / "a")
    is_refused(searched, "--max-drop with --placement measured")
    (tmp_path / "r.toml").write_text("")
    again = run_fxpasses(
        *("quantize", *SMALL, "--placement", "measured", "--recipe", tmp_path / "r.toml", "--out", tmp_path / "b")
    )
    is_refused(again, "--recipe with --placement")
    alien = run_fxpasses("quantize", *SMALL[:3], "--method", "fp16", "--placement", "measured", "--out", tmp_path / "c")
    is_refused(alien, "--placement with --method fp16")
