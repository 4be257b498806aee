"""Steps of repairs: every row outside observing and converting has one, of the class of its phase."""

from __future__ import annotations

from importlib import import_module

import pytest

from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.repair_steps import ConversionStep, FloatStep, RangeStep, steps_of, steps_on
from fxpasses.quantization.repair_table import REPAIRS, Phase, settings_off

KINDS = (FloatStep, RangeStep, ConversionStep)


def test_every_row_has_its_step() -> None:
    found = [*steps_of(FloatStep), *steps_of(RangeStep), *steps_of(ConversionStep)]
    assert sorted(found) == sorted(repair.name for repair in REPAIRS.values() if repair.phase is not Phase.INSIDE)
    assert all(not repair.module for repair in REPAIRS.values() if repair.phase is Phase.INSIDE)
    assert {kind.phase for kind in KINDS} == set(Phase) - {Phase.INSIDE}


def test_the_steps_that_settings_ask_for() -> None:
    assert list(steps_on(QuantConfig(smoothing="auto"), FloatStep)) == ["smoothing", "equalization", "pixel grid"]
    assert list(steps_on(QuantConfig(), RangeStep)) == ["narrow ranges"]
    assert not steps_on(QuantConfig(), ConversionStep)
    learned = steps_on(QuantConfig(rounding="learned"), ConversionStep)["learned rounding"]
    assert (learned.parts, learned.is_compared) == (0, True)
    off = QuantConfig(**settings_off())
    assert not steps_on(off, FloatStep) and not steps_on(off, RangeStep) and not steps_on(off, ConversionStep)


def test_a_step_of_another_phase_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    equalization = import_module("fxpasses.quantization.repairs.equalization")
    monkeypatch.setattr(equalization, "STEP", RangeStep(lambda gm, first, may_move: None, 1))
    with pytest.raises(AssertionError, match=r"repairs\.equalization\.STEP is no FloatStep"):
        steps_on(QuantConfig(), FloatStep)
