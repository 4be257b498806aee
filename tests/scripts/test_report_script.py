"""scripts/report.py: the table holds the measurements, and replaces the old one."""

from __future__ import annotations

from typing import Any

import pytest
from report import BEGIN, END, table, with_results


def _row(name: str, **numbers: Any) -> dict[str, Any]:
    known: dict[str, Any] = {"why_not": None, "top1": 91.5, "top1_agreement": 99.25, "sqnr_db": 30.46}
    known |= {"quantize_s": 8.125, "peak_bytes": 812_345_678}
    return {"name": name, "latency": {"p50_ms": 0.4321}} | known | numbers


MEASURED: dict[str, Any] = {
    "date": "2026-11-23",
    "environment": {
        "cpu": "a CPU",
        "flags": ["avx2", "avx512_vnni"],
        "versions": {"torch": "2.15.0", "onnxruntime": "1.31.1"},
    },
    "models": [
        {
            "model": "torchvision/tiny",
            "rows": [
                _row("fxpasses (ort)"),
                _row("fp32 (ort)", quantize_s=None, peak_bytes=None),
                _row("NNCF (ort)", why_not="it crashed", latency=None),
                _row("torch.ao FX x86 (torch)", why_not="not installed", latency=None),
                _row("something new"),
            ],
        }
    ],
}


def test_rows_hold_the_measured_numbers_in_a_fixed_order() -> None:
    lines = table(MEASURED).splitlines()
    assert lines[2:7] == [
        "| **tiny** | | | | | | |",
        "| fp32, onnxruntime |  |  | 0.432 | 91.5 % |  |  |",
        "| NNCF, in onnxruntime | it crashed | | | | | |",
        "| **fxpasses, onnxruntime** | 99.2 % | 30.5 dB | 0.432 | 91.5 % | 8.1 s | 812 MB |",
        "",
    ]
    assert "not installed" not in table(MEASURED)


def test_the_day_and_the_machine_are_named() -> None:
    text = (
        "2026-11-23, a CPU with VNNI, one thread, batch 1, medians of paired runs; torch 2.15.0, onnxruntime 1.31.1. "
    )
    assert text + "Peers run as they come. " in table(MEASURED)


def test_a_cpu_without_vnni_is_said_to_be_one() -> None:
    text = table(MEASURED | {"environment": MEASURED["environment"] | {"flags": ["avx2"]}})
    assert "a CPU without VNNI, one thread" in text
    assert "`quantize_static` has `reduce_range`" in text


def test_nets_of_random_weights_are_named() -> None:
    assert "andom weights" not in table(MEASURED)
    untrained = {"model": "torchvision/resnet18", "rows": [_row("fxpasses (ort)", top1=None)]}
    text = table(MEASURED | {"models": [*MEASURED["models"], untrained]})
    assert "Random weights, of which agreement says little: resnet18. " in text


def test_a_second_run_replaces_the_first() -> None:
    once = with_results(f"# Title\n\n{BEGIN}\n\n## Next\n", "first")
    again = with_results(once, "second")
    assert "first" in once
    assert "## Next" in once
    assert again == once.replace("first", "second")
    assert again.count(END) == 1


def test_a_readme_without_a_place_is_refused() -> None:
    with pytest.raises(SystemExit, match="has no line"):
        with_results("# Title\n", "text")
