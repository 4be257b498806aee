"""Options of static quantization: which settings they mean, and which were said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fxpasses.cli.options.static import StaticOptions, overrides_of
from fxpasses.errors import InputError
from fxpasses.quantization.config import Override, QuantConfig

DEFAULTS = StaticOptions([], [], "auto", False, True, True, 8, "nearest")


def test_nothing_said_means_the_defaults() -> None:
    assert DEFAULTS.config() == QuantConfig()
    assert DEFAULTS.said == []


def test_few_bits_search_their_scales() -> None:
    options = StaticOptions(["minmax"], ["fc"], "arm", True, False, False, 4, "learned")
    assert options.config() == QuantConfig(
        target="arm",
        observer="minmax",
        exact=True,
        equalization=False,
        bias_correction=False,
        weight_bits=4,
        group_size=16,
        weight_search="mse",
        rounding="learned",
        overrides=(Override("fc", keep_float=True),),
    )
    assert len(options.said) == 8


def test_activations_of_16_bits() -> None:
    wide = replace(DEFAULTS, activation_bits=16)
    assert wide.config() == QuantConfig(activation_bits=16)
    assert wide.said == ["--activation-bits"]


def test_group_sizes() -> None:
    assert replace(DEFAULTS, bits=4, group_size=32).config().group_size == 32
    assert replace(DEFAULTS, bits=5).config().group_size is None
    assert replace(DEFAULTS, bits=4, group_size=32).said == ["--bits", "--group-size"]
    with pytest.raises(InputError, match="only weights of 4 bits or fewer come in groups"):
        replace(DEFAULTS, group_size=32).config()


def test_alpha_is_a_number_or_a_word() -> None:
    assert replace(DEFAULTS, smooth="0.5").config() == QuantConfig(smoothing=0.5)
    off = replace(DEFAULTS, pixel_grid=False, narrow_ranges=False, float_results=False)
    assert off.config() == QuantConfig(pixel_grid=False, narrow_ranges=False, float_results=False)
    assert off.said == ["--no-pixel-grid", "--no-narrow-ranges", "--no-float-results"]
    auto = replace(DEFAULTS, smooth="auto")
    assert auto.config() == QuantConfig(smoothing="auto")
    assert auto.said == ["--smooth"]
    with pytest.raises(InputError, match="smoothing 'half'\n  why: alpha is a number"):
        replace(DEFAULTS, smooth="half").config()


def test_reestimation() -> None:
    options = replace(DEFAULTS, reestimate=True)
    assert options.config() == QuantConfig(reestimation=True)
    assert options.said == ["--reestimate"]


def test_layers_in_float_win() -> None:
    general, special = overrides_of(["entropy", "layer1.*=minmax"], ["layer1.0"])
    assert general == "entropy"
    assert special == (Override("layer1.*", observer="minmax"), Override("layer1.0", keep_float=True))
