"""The report in the terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console
from stub_runners import sample_parity, sample_report, sample_variant

from fxpasses.reports.console import print_parity, print_report


def printed(report: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=140)
    print_report(report, console)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_everything_is_there() -> None:
    text = printed(sample_report())
    for expected in (
        "cifar_resnet20 · data cifar10=data · target x86",
        "onnxruntime int8",
        "300 kB",
        "91.2 %",
        "30.5 dB",
        "batch 1, 1 thread",
        "2.50×",
        "bit for bit the same integers",
        "top-1   −0.3 points against fp32",
        "float   1 × layer_norm: no kernel",
        "note    a warning about something",
    ):
        assert expected in text


@pytest.mark.parametrize("missing", ["passes", "layers", "audit", "recipe", "warnings"])
def test_added_keys_may_be_missing(missing: str) -> None:
    report = sample_report()
    del report[missing]
    assert "onnxruntime int8" in printed(report)


def test_nothing_measured_prints_no_latency() -> None:
    bare = sample_variant("torch", "int8", latency=[], size_bytes=None, macs=None)
    text = printed(sample_report(variants=[bare], parity=None))
    assert "latency" not in text
    assert "parity not checked" in text


def test_names_are_not_taken_for_markup() -> None:
    assert "[red]net[/red]" in printed(sample_report(model="[red]net[/red]"))


def test_a_divergence_is_named() -> None:
    console = Console(file=io.StringIO(), width=140)
    parity = sample_parity(max_lsb=3, fraction_differing=0.01, max_lsb_at_any_node=2, first_divergence="conv1 (torch)")
    print_parity(parity, console)
    file = console.file
    assert isinstance(file, io.StringIO)
    assert "differs by 2 LSB from conv1 (torch) on" in file.getvalue()
    assert "logits differ in 1.000 %" in file.getvalue()
