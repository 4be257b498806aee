"""The table of repairs: every row is complete, and settings follow from it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import pytest

from fxpasses.errors import InputError
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.repair_table import (
    REPAIRS,
    Phase,
    RepairSettings,
    check_smoothing,
    repairs_on,
    settings_off,
)


def test_every_setting_has_a_row_and_is_described() -> None:
    assert list(REPAIRS) == [one.name for one in fields(RepairSettings)]
    described = RepairSettings.__doc__ or ""
    assert [setting for setting in REPAIRS if f"        {setting}: " not in described] == []


def test_settings_of_a_quantization_are_the_rows_and_their_defaults() -> None:
    plain, config = RepairSettings(), QuantConfig()
    assert all(getattr(config, setting) == getattr(plain, setting) for setting in REPAIRS)
    assert QuantConfig("x86", "minmax").observer == "minmax", "settings of repairs are given by name alone"


def test_names_are_unlike_each_other() -> None:
    assert len({repair.name for repair in REPAIRS.values()}) == len(REPAIRS)
    assert len({repair.module for repair in REPAIRS.values() if repair.module}) == len(
        [repair for repair in REPAIRS.values() if repair.module]
    )


def test_all_off() -> None:
    config = QuantConfig(**settings_off())
    assert [setting for phase in Phase for setting in repairs_on(config, phase)] == []
    assert settings_off(Phase.CONVERSION) == {"reestimation": False, "rounding": "nearest"}


def test_the_order_of_a_phase_is_that_of_the_rows() -> None:
    assert list(repairs_on(QuantConfig(smoothing=0.5), Phase.FLOAT)) == ["smoothing", "equalization", "pixel_grid"]
    assert list(repairs_on(QuantConfig(pixel_grid=False), Phase.FLOAT)) == ["equalization"]


@pytest.mark.parametrize("settings", [{"smoothing": 2.0}, {"smoothing": "half"}, {"rounding": "up"}])
def test_values_are_checked(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match=f"`{next(iter(settings))}="):
        QuantConfig(**settings)  # type: ignore[arg-type]  # as a recipe may spell it


def test_one_conversion_at_a_time() -> None:
    with pytest.raises(InputError, match="`reestimation=True` with `rounding='learned'`"):
        QuantConfig(reestimation=True, rounding="learned")


def test_alpha() -> None:
    check_smoothing("auto")
    check_smoothing(1)
    with pytest.raises(InputError, match=r"use 0\.5, as published"):
        check_smoothing(1.5)


def test_the_table_is_read_without_torch() -> None:
    code = "import sys, fxpasses.quantization.repair_table; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
