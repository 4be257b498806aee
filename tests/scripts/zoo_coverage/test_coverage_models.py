"""Models that coverage is measured on."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from zoo_coverage import classifiers as coverage_models
from zoo_coverage.classifiers import OTHER_SIZES, classifiers, open_model, smallest_of, timm_families

from fxpasses.errors import InputError
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.model_input import UNIT_RANGE


def test_all_classifiers_are_listed() -> None:
    names = classifiers()
    assert len(names) == len(set(names)) >= 80
    assert set(OTHER_SIZES) <= set(names)


WIDTHS = {"x_wide": 64, "x_narrow": 2, "x_middle": 8}


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-in for timm with one family, and a module that registers nothing."""

    def list_models(module: str) -> list[str]:
        return list(WIDTHS) if module == "x" else []

    stand_in: Any = SimpleNamespace(
        list_modules=lambda: ["x", "_tools"],
        list_models=list_models,
        create_model=lambda name, pretrained: nn.Linear(WIDTHS[name], WIDTHS[name]),
    )
    monkeypatch.setitem(sys.modules, "timm", stand_in)


@pytest.mark.usefixtures("timm")
def test_of_a_family_the_smallest() -> None:
    assert timm_families() == {"x": list(WIDTHS)}
    assert smallest_of(list(WIDTHS)) == "x_narrow"
    assert smallest_of(["alone, not even built"]) == "alone, not even built"


class _Windows(nn.Module):
    """Model that divides images into 28 windows in each direction."""

    def forward(self, x: Tensor) -> Tensor:
        return x.unfold(2, 28, 28).reshape(len(x), -1, 112 * 28)


def _loaded(published: int, *, is_fixed: bool) -> Any:
    def load(spec: str, *, image_size: int | None = None, fresh: bool = False) -> LoadedModel:
        if is_fixed and image_size not in (None, published):
            raise InputError(spec, why="fixed", fix="none")
        size = image_size or published
        return LoadedModel(spec, _Windows(), (3, size, size), UNIT_RANGE, pretrained=False)

    return load


@pytest.mark.parametrize(("is_fixed", "side"), [(False, 112), (True, 336)])
def test_the_smallest_images_it_takes(monkeypatch: pytest.MonkeyPatch, is_fixed: bool, side: int) -> None:
    monkeypatch.setattr(coverage_models, "load_model", _loaded(336, is_fixed=is_fixed))
    loaded = open_model("timm/windows")
    assert loaded.input_shape == (3, side, side)
    assert loaded.module(torch.ones(1, *loaded.input_shape)).numel() > 0


def test_torchvision_s_sizes_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int | None] = []
    monkeypatch.setattr(coverage_models, "load_model", lambda spec, *, image_size: sizes.append(image_size))
    open_model("torchvision/resnet18")
    open_model("torchvision/inception_v3")
    assert sizes == [64, 96]
