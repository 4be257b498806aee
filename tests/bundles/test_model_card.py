"""The card tells what the report measured, and says what is missing."""

from __future__ import annotations

import copy
from typing import Any

from documents import report

from fxpasses.bundles.model_card import model_card

ABOUT: dict[str, Any] = {
    **{"model": "digits_cnn", "data": "digits", "target": "arm", "made_for": "x86", "license": None, "classes": 10},
    **{"created": "2026-01-01T00:00:00+00:00", "qparams_sha256": "0" * 64, "why_no_image": None},
    "versions": {"fxpasses": "0.1.0", "torch": None},
    "session_options": {"session.x64quantprecision": "1"},
    "inputs": [{"name": "x", "dtype": "float", "shape": ["batch", 1, 8, 8]}],
    "image": {
        **{"height": 8, "width": 8, "channels": 1, "mean": [0.0], "std": [1.0]},
        **{"resize_ratio": 8 / 7, "any_size": False},
    },
    "files": {"run.py": {"sha256": "1" * 64, "bytes": 7}},
}


def test_numbers_are_the_reports() -> None:
    told = report()
    for variant in told["variants"]:
        variant["accuracy"] = {"top1": 91.25, "images": 40}
        variant["vs_fp32"] = {"top1_agreement": None, "sqnr_db": 31.5}
        variant["latency"] = []
    card = model_card(ABOUT, told, 10)
    assert "| onnxruntime int8 | 91.2 % of 40 images | not measured | 31.5 dB | not measured |" in card
    assert "torch int8" not in card and "x86 CPUs without VNNI" in card
    assert "| Target | arm (quantized for x86) |" in card and "| `run.py` | 7 | `" + "1" * 64 in card


def test_what_nobody_said_is_said_to_be_missing() -> None:
    told = copy.deepcopy(report()) | {"parity": None, "model_details": None, "data_details": None, "kernels": None}
    card = model_card(ABOUT | {"classes": None, "session_options": {}}, told, None)
    assert "Licence | not said" in card and "Calibrated on | not said" in card and "Classes | not said" in card
    assert "the same integers was not measured" in card and "Session options | none" in card


def test_another_metric_is_told() -> None:
    told = report()
    metric = {"name": "miou", "title": "mIoU", "value": 61.234, "unit": "%", "falls": False, "output": "output"}
    told["variants"][-1]["accuracy"]["metric"] = metric
    assert "onnxruntime int8: mIoU 61.23 %." in model_card(ABOUT, told, None)


def test_a_model_of_no_images_and_a_licence_of_many_lines() -> None:
    about = ABOUT | {"image": None, "why_no_image": "it takes tokens", "license": "MIT |\nor not"}
    card = model_card(about, report(), None)
    assert "No graph takes images: it takes tokens." in card and "photo.jpg" not in card
    assert "| Licence | MIT \\| or not |" in card
