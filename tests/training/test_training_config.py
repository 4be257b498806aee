"""Settings of training are checked when they are made."""

from __future__ import annotations

from typing import Any

import pytest

from fxpasses.errors import InputError
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.training import TrainingConfig


def with_bits(name: str, bits: Any) -> TrainingConfig:
    given: dict[str, Any] = {name: bits}
    return TrainingConfig(**given)


@pytest.mark.parametrize("name", ["weight_bits", "activation_bits", "end_bits"])
@pytest.mark.parametrize("bits", [1, 9, 4.0, True])
def test_bits_outside_two_to_eight(name: str, bits: Any) -> None:
    with pytest.raises(InputError, match=f"(?s){name}=.*2 to 8 bits"):
        with_bits(name, bits)
    with_bits(name, 2), with_bits(name, 8)  # what the error says will do


def test_unknown_ranges() -> None:
    with pytest.raises(InputError, match="ranges 'guessed'"):
        TrainingConfig(ranges="guessed")  # type: ignore[arg-type]  # what callers without types may write


@pytest.mark.parametrize(
    "quant",
    [
        QuantConfig(activation_bits=16),
        QuantConfig(weight_bits=4, group_size=16),
        QuantConfig(tie_free=False),
        QuantConfig(observer="sweep"),
    ],
)
def test_what_training_cannot_keep_to(quant: QuantConfig) -> None:
    with pytest.raises(InputError, match="for training"):
        TrainingConfig(quant=quant)


def test_conversion_keeps_the_callers_overrides_and_adds_its_own() -> None:
    config = TrainingConfig(quant=QuantConfig(overrides=(Override("fc", keep_float=True),)))
    made = config.observing((Override("node:conv", weight_bits=3),))
    assert [o.match for o in made.overrides] == ["fc", "node:conv"]
    assert not made.bias_correction and made.rounding == "learned"
