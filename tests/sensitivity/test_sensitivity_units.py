"""Units of a graph; the overrides of a unit keep it, and only it, in float."""

from __future__ import annotations

import pytest
from tiny_graphs import X86, fused

from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.quantization.int8.plan import plan_quantization
from fxpasses.sensitivity.units import find_units


def test_what_moves_values_is_no_unit_and_an_absorbed_activation_belongs_to_its_layer() -> None:
    units = {unit.name: unit for unit in find_units(fused("residual_block"), X86)}
    absorbing = [unit for unit in units.values() if len(unit.nodes) == 2]
    assert absorbing
    assert all(unit.result == unit.nodes[1] != unit.name for unit in absorbing)
    assert "max_pool2d" not in {unit.operator for unit in find_units(fused("max_pools"), X86)}


def test_a_layer_is_called_what_the_user_calls_it() -> None:
    units = find_units(fused("nested_names"), X86)
    layers = [unit for unit in units if unit.path]
    assert all(unit.label == unit.path and unit.weights > 0 for unit in layers)
    adds = [unit for unit in find_units(fused("residual_block"), X86) if unit.operator == "add"]
    assert all(unit.label == unit.name and unit.weights == 0 for unit in adds)


@pytest.mark.parametrize("name", ["residual_block", "add_spellings", "conv_depthwise_bn_relu6"])
def test_its_overrides_keep_it_in_float_and_nothing_else_that_computes(name: str) -> None:
    gm = fused(name)
    units = find_units(gm, X86)
    for unit in units:
        left = find_units(gm, QuantConfig(observer="minmax", overrides=unit.keep_float))
        assert {u.name for u in left} == {u.name for u in units} - {unit.name}


def test_overrides_of_the_caller_leave_units_out() -> None:
    config = QuantConfig(overrides=(Override("operator:add", keep_float=True),))
    assert "add" not in {unit.operator for unit in find_units(fused("residual_block"), config)}


def test_inputs_are_the_tensors_on_an_int8_grid() -> None:
    gm = fused("residual_block")
    on_grid = {tensor.name for tensor in plan_quantization(gm, X86).root}
    assert all(set(unit.inputs) <= on_grid for unit in find_units(gm, X86))
