"""Models of ultralytics: an optional package under another license, so most tests work without it."""

from __future__ import annotations

import importlib.util
import sys

import pytest
import torch

import fxpasses as fx
from fxpasses.errors import InputError
from fxpasses.models.zoo import load_model

HAS_IT = importlib.util.find_spec("ultralytics") is not None


def test_without_the_package_its_license_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    with pytest.raises(InputError, match=r"(?s)cannot build ultralytics/yolov8n.*pip install ultralytics.*AGPL-3.0"):
        load_model("ultralytics/yolov8n")


def test_images_are_multiples_of_the_stride() -> None:
    with pytest.raises(InputError, match="take a multiple of 32"):
        load_model("ultralytics/yolov8n", image_size=100)


@pytest.mark.slow
@pytest.mark.skipif(not HAS_IT, reason="ultralytics is AGPL-3.0, and installed by who wants it")
@pytest.mark.filterwarnings("ignore")
def test_a_detector_gives_boxes_and_scores_for_any_batch() -> None:
    model = load_model("ultralytics/yolov8n", image_size=64)
    graph = fx.capture(model.module, model.example_inputs())
    with torch.no_grad():
        assert graph(*model.example_inputs(batch=3)).shape == (3, 4 + 80, 84)
    with pytest.raises(InputError, match="unknown ultralytics model 'yolov99'"):
        load_model("ultralytics/yolov99")
