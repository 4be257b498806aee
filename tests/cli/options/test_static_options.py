"""Options of static quantization: their settings, and the list of options that were given."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fxpasses.cli.options.methods import said_in_recipe
from fxpasses.cli.options.quantize import QuantizeOptions
from fxpasses.cli.options.static import config_of, overrides_of
from fxpasses.errors import InputError
from fxpasses.quantization.config import Override, QuantConfig

DEFAULTS = QuantizeOptions()


def test_nothing_said_means_the_defaults() -> None:
    assert config_of(DEFAULTS) == QuantConfig()
    assert said_in_recipe(DEFAULTS) == []


def test_few_bits_search_their_scales() -> None:
    options = QuantizeOptions(
        observer=["minmax"],
        keep_float=["fc"],
        target="arm",
        exact=True,
        equalization=False,
        bias_correction=False,
        bits=4,
        rounding="learned",
    )
    assert config_of(options) == QuantConfig(
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
    assert len(said_in_recipe(options)) == 8


def test_activations_of_16_bits() -> None:
    wide = replace(DEFAULTS, activation_bits=16)
    assert config_of(wide) == QuantConfig(activation_bits=16)
    assert said_in_recipe(wide) == ["--activation-bits"]


def test_group_sizes() -> None:
    assert config_of(replace(DEFAULTS, bits=4, group_size=32)).group_size == 32
    assert config_of(replace(DEFAULTS, bits=5)).group_size is None
    assert said_in_recipe(replace(DEFAULTS, bits=4, group_size=32)) == ["--bits", "--group-size"]
    with pytest.raises(InputError, match="only weights of 4 bits or fewer come in groups"):
        config_of(replace(DEFAULTS, group_size=32))


def test_alpha_is_a_number_or_a_word() -> None:
    assert config_of(replace(DEFAULTS, smoothing="0.5")) == QuantConfig(smoothing=0.5)
    off = replace(DEFAULTS, pixel_grid=False, narrow_ranges=False, float_results=False)
    assert config_of(off) == QuantConfig(pixel_grid=False, narrow_ranges=False, float_results=False)
    assert said_in_recipe(off) == ["--no-pixel-grid", "--no-float-results", "--no-narrow-ranges"]
    auto = replace(DEFAULTS, smoothing="auto")
    assert config_of(auto) == QuantConfig(smoothing="auto")
    assert said_in_recipe(auto) == ["--smooth"]
    with pytest.raises(InputError, match="`smoothing='half'`\n  why: alpha is a number"):
        config_of(replace(DEFAULTS, smoothing="half"))


def test_reestimation() -> None:
    options = replace(DEFAULTS, reestimation=True)
    assert config_of(options) == QuantConfig(reestimation=True)
    assert said_in_recipe(options) == ["--reestimate"]


def test_layers_in_float_win() -> None:
    general, special = overrides_of(["entropy", "layer1.*=minmax"], ["layer1.0"])
    assert general == "entropy"
    assert special == (Override("layer1.*", observer="minmax"), Override("layer1.0", keep_float=True))
