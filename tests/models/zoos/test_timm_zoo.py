"""timm's models, with timm and without."""

from __future__ import annotations

import sys

import pytest

from fxpasses.errors import InputError
from fxpasses.models.zoo import load_model


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InputError, match=r"(?s)timm is not installed.*fxpasses\[timm\]"):
        load_model("timm/resnet18")


def test_with_timm_its_models_are_built() -> None:
    pytest.importorskip("timm")
    model = load_model("timm/resnet10t")
    assert model.module(*model.example_inputs()).shape == (2, 1000)
    with pytest.raises(InputError, match="unknown timm model"):
        load_model("timm/no_such_net")
    with pytest.raises(InputError, match="its input size is fixed in its layers"):
        load_model("timm/vit_tiny_patch16_224", image_size=64)
