"""Any choice of float units and any observer, from one calibration: the integers of a separate calibration."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from tiny_graphs import calibration_data, fused
from tiny_nets.all_nets import TINY

import fxpasses
from fxpasses.errors import InputError
from fxpasses.export.metadata import qparams_hash
from fxpasses.graph.stages import Stage, stage_of
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.quantization.recipe import repaired
from fxpasses.sensitivity.calibrated import Calibrated, Distributions, calibrate_once, measure_distributions

CONFIG = QuantConfig(observer="percentile:99.9", weight_search="mse")
NETS = ("residual_block", "residual_padded_shortcut", "max_pools", "cat", "attention")
"""Nets with adds, absorbed clamps, operators that share scales, joined scales, and float parts."""


@cache  # both ways to calibrate once ask for the same
def made_anew(name: str, config: QuantConfig) -> str:
    """Hash of the result of observing, calibrating and converting with these settings."""
    graph, batches = repaired(fused(name), calibration_data(TINY[name]), config)
    observed = fxpasses.observe(graph, config)
    fxpasses.calibrate(observed, batches)
    return qparams_hash(fxpasses.convert(observed))


@cache
def once(name: str = "residual_block") -> Calibrated:
    """Calibration of a net; not to be changed."""
    return calibrate_once(fused(name), CONFIG, calibration_data(TINY[name]))


@cache
def distributions(name: str = "residual_block") -> Distributions:
    return measure_distributions(fused(name), CONFIG, calibration_data(TINY[name]))


def both(name: str) -> list[Calibrated]:
    return [once(name), distributions(name).settle(CONFIG)]


@pytest.mark.parametrize("name", [*NETS[1:4], *(pytest.param(n, marks=pytest.mark.slow) for n in (NETS[0], NETS[4]))])
def test_each_unit_in_float_and_alone_is_bit_for_bit_what_a_calibration_gives(name: str) -> None:
    for calibrated in both(name):
        for unit in calibrated.units[:2]:
            others = [other for other in calibrated.units if other is not unit]
            for in_float in ([unit], others):
                expected = made_anew(name, calibrated.config_of(*in_float))
                assert qparams_hash(calibrated.convert(*in_float)) == expected, (unit.name, len(in_float))


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
def test_the_same_on_every_tiny_net(name: str) -> None:
    for calibrated in both(name):
        for unit in calibrated.units:
            assert qparams_hash(calibrated.convert(unit)) == made_anew(name, calibrated.config_of(unit)), unit.name
            assert qparams_hash(calibrated.alone(unit)) is not None


@pytest.mark.parametrize("observer", ["histogram", "minmax", "percentile:99.0", "entropy"])
def test_any_observer_follows_from_the_distributions(observer: str) -> None:
    config = QuantConfig(observer=observer)
    assert qparams_hash(distributions().settle(config).convert()) == made_anew("residual_block", config)


def test_an_observer_for_one_layer_alone() -> None:
    config = QuantConfig(observer="minmax", overrides=(Override("add", observer="entropy"),))
    assert qparams_hash(distributions().settle(config).convert()) == made_anew("residual_block", config)


def test_a_moving_average_cannot_follow() -> None:
    with pytest.raises(InputError, match="its range depends on how the data came in batches"):
        distributions().settle(replace(CONFIG, observer="moving_average"))


def test_alone_quantizes_one_unit_and_nothing_else() -> None:
    calibrated = once()
    unit = next(u for u in calibrated.units if u.weights)
    integers = {name for name, t in calibrated.alone(unit).named_buffers() if t.dtype is torch.int8}
    assert len(integers) == 1
    assert str(unit.path) in next(iter(integers))


def test_the_float_twin_computes_what_the_fused_graph_does_and_has_no_observer_left() -> None:
    config = replace(CONFIG, equalization=False)
    calibrated = calibrate_once(fused("residual_block"), config, calibration_data(TINY["residual_block"]))
    (inputs, *_) = calibration_data(TINY["residual_block"])
    assert stage_of(calibrated.float_graph) is Stage.FLOAT
    assert not any("fxpasses_" in str(node.target) for node in calibrated.float_graph.graph.nodes)
    assert torch.equal(calibrated.float_graph(*inputs), fused("residual_block")(*inputs))


def test_a_settled_observer_takes_in_nothing_more() -> None:
    calibrated = once()
    with pytest.raises(AssertionError, match="observes no more"):
        calibrated.observed(*calibration_data(TINY["residual_block"])[0])


def test_silu_in_float_is_whole_from_the_distributions_too() -> None:
    config = QuantConfig(observer="minmax", overrides=(Override("operator:silu", keep_float=True),))
    data = calibration_data(TINY["silu"])
    settled = measure_distributions(fused("silu"), config, data).settle(config)
    assert qparams_hash(settled.convert()) == made_anew("silu", config)
    assert "mul" not in {unit.operator for unit in settled.units}
