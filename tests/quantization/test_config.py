"""Settings are checked when they are made, and overrides find their nodes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from tiny_graphs import fused, node_named, own_copy
from torch import nn

from fxpasses.errors import InputError
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.quantization.numbers.qparams import INT16_SYMMETRIC, UINT8, UINT16
from fxpasses.quantization.numbers.targets import TARGETS
from fxpasses.quantization.ranges.observer_spec import ObserverSpec


def test_defaults() -> None:
    config = QuantConfig()
    assert (config.target, config.observer, config.weight_search) == ("x86", "histogram", "minmax")
    assert config.tie_free and not config.exact and config.overrides == ()
    assert config.for_target is TARGETS["x86"]


def test_settings_are_frozen_and_can_be_keys() -> None:
    config: Any = QuantConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.target = "arm"
    assert len({QuantConfig(), QuantConfig(), QuantConfig(target="arm")}) == 2


def test_an_unknown_target() -> None:
    with pytest.raises(InputError, match=r"target 'x68'\n.*there is no target of that name\n.*did you mean 'x86'"):
        QuantConfig(target="x68")


def test_an_unknown_observer() -> None:
    with pytest.raises(InputError, match=r"observer 'histgram'.*\n.*\n.*did you mean 'histogram'"):
        QuantConfig(observer="histgram")


@pytest.mark.parametrize("bits", [0, 1, 9, 16])
def test_bits_there_are_no_weights_of(bits: int) -> None:
    for make in (lambda: QuantConfig(weight_bits=bits), lambda: Override("fc", weight_bits=bits)):
        with pytest.raises(InputError, match=rf"`weight_bits={bits}`\n.*2 to 8 bits\n.*use 8"):
            make()


def test_an_unknown_rounding() -> None:
    with pytest.raises(InputError, match=r"`rounding='up'`\n.*there is no such rounding\n.*'nearest' or 'learned'"):
        QuantConfig(rounding="up")


def test_the_grid_of_weights() -> None:
    assert QuantConfig().weight_grid() is TARGETS["x86"].weights
    assert (QuantConfig(weight_bits=4).weight_grid().low, QuantConfig(weight_bits=4).weight_grid().high) == (-8, 7)
    assert QuantConfig(weight_bits=7, target="x86-avx2").weight_grid().low == -64
    learned = QuantConfig(target="x86-avx2", rounding="learned")
    assert learned.weight_grid() is TARGETS["x86-avx2"].free_weights
    assert QuantConfig().weight_grid(3).high == 3


def test_short_rows_keep_eight_bits_unless_told() -> None:
    gm = own_copy(fused("conv_depthwise_bn_relu6"))
    layer = next(n for n in gm.graph.nodes if n.op == "call_module")
    assert QuantConfig(weight_bits=4).weight_bits_of(gm, layer) == 8
    told = QuantConfig(weight_bits=4, overrides=(Override("*", weight_bits=5),))
    assert told.weight_bits_of(gm, layer) == 5
    for row, bits in ((63, 8), (64, 4)):
        gm.set_submodule(str(layer.target), nn.Linear(row, 4))
        assert QuantConfig(weight_bits=4).weight_bits_of(gm, layer) == bits


def test_an_unknown_weight_search() -> None:
    with pytest.raises(InputError, match=r"`weight_search='best'`\n.*there is no such search\n.*use 'minmax' or 'mse'"):
        QuantConfig(weight_search="best")


def test_exact_rests_on_tie_free_scales() -> None:
    with pytest.raises(InputError, match=r"`exact=True` with `tie_free=False`\n.*exact rests on tie-free scales"):
        QuantConfig(exact=True, tie_free=False)


def test_an_override_that_changes_nothing() -> None:
    with pytest.raises(InputError, match=r"override 'conv1'\n.*it changes nothing"):
        Override("conv1")


def test_an_override_with_an_unknown_observer() -> None:
    with pytest.raises(InputError, match="observer 'minmx'"):
        Override("conv1", observer="minmx")


@pytest.mark.parametrize(
    ("match", "nodes"),
    [
        ("_0_0", ["_0_0"]),
        ("0.0", ["_0_0"]),
        ("0.*", ["_0_0"]),
        ("conv2d", ["_0_0"]),
        ("conv?d", ["_0_0"]),
        ("relu", ["relu"]),
        ("*", ["input_1", "_0_0", "relu", "output"]),
        ("0", []),
        ("Conv2d", []),
        ("CONV2D", []),
        ("node:relu", ["relu"]),
        ("node:0.0", []),
        ("layer:0.*", ["_0_0"]),
        ("layer:relu", []),
        ("operator:conv?d", ["_0_0"]),
        ("operator:_0_0", []),
        ("module:0.0", []),
    ],
)
def test_what_an_override_matches(match: str, nodes: list[str]) -> None:
    """An override matches a node's name, its module's path, or its operator, by shell wildcards, and nothing else."""
    gm = fused("nested_names")
    override = Override(match, keep_float=True)
    assert [n.name for n in gm.graph.nodes if override.matches(gm, n)] == nodes


def test_the_last_observer_that_matches_wins() -> None:
    gm = fused("nested_names")
    conv = node_named(gm, "_0_0")
    overrides = (
        Override("*", observer="minmax"),
        Override("conv*", observer="percentile:99"),
        Override("relu", observer="entropy"),
    )
    config = QuantConfig(overrides=overrides)
    assert config.observer_of(gm, conv) == ObserverSpec("percentile", 99.0)
    assert config.observer_of(gm, node_named(gm, "relu")) == ObserverSpec("entropy")
    assert config.observer_of(gm, node_named(gm, "input_1")) == ObserverSpec("minmax")
    assert QuantConfig().observer_of(gm, conv) == ObserverSpec("histogram")


def test_keeps_float() -> None:
    gm = fused("nested_names")
    config = QuantConfig(overrides=(Override("conv*", keep_float=True), Override("relu", observer="minmax")))
    assert config.keeps_float(gm, node_named(gm, "_0_0"))
    assert not config.keeps_float(gm, node_named(gm, "relu"))


def test_the_last_override_that_says_something_wins_and_float_stays_float() -> None:
    gm = fused("nested_names")
    config = QuantConfig(
        overrides=(
            Override("conv*", keep_float=True),
            Override("_0_0", observer="minmax", weight_bits=4),
            Override("_0_0", observer="entropy"),
        )
    )
    node = node_named(gm, "_0_0")
    assert config.keeps_float(gm, node)
    assert config.observer_of(gm, node) == ObserverSpec("entropy") and config.weight_bits_of(gm, node) == 4


def test_patterns_that_name_an_operator() -> None:
    spelled = {
        "silu": True,
        "operator:silu": True,
        "operator:s*": True,
        "node:silu": False,
        "layer:silu": False,
        "fc": False,
    }
    assert {p: Override(p, keep_float=True).names_operator("silu") for p in spelled} == spelled
    config = QuantConfig(overrides=(Override("operator:silu", keep_float=True), Override("relu", observer="minmax")))
    assert config.keeps_operator_float("silu") and not config.keeps_operator_float("relu")


def test_groups_of_weights() -> None:
    config = QuantConfig(weight_bits=4, group_size=16)
    assert config.weight_group(4, 64) == (16, 15) and config.weight_group(8, 64) is None
    assert QuantConfig(weight_bits=4).weight_group(4, 64) is None
    assert QuantConfig(target="x86-avx2", weight_bits=4, group_size=16).weight_group(4, 64) == (16, 7)
    assert QuantConfig(group_size=16, overrides=(Override("fc", weight_bits=4),)).group_size == 16
    with pytest.raises(InputError, match="only weights of 4 bits or fewer"):
        QuantConfig(group_size=16)
    with pytest.raises(InputError, match="at least 8 weights"):
        QuantConfig(weight_bits=4, group_size=4)


def test_activation_bits() -> None:
    assert QuantConfig(activation_bits=16).activation_grid == UINT16
    assert QuantConfig(activation_bits=16, target="cuda").activation_grid == INT16_SYMMETRIC
    assert QuantConfig().activation_grid == UINT8
    assert QuantConfig().avoids_ties and not QuantConfig(activation_bits=16).avoids_ties


@pytest.mark.parametrize("bits", [4, 7, 12, 32])
def test_an_unknown_number_of_activation_bits(bits: int) -> None:
    with pytest.raises(InputError, match=rf"`activation_bits={bits}`\n.*8 or 16 bits"):
        QuantConfig(activation_bits=bits)


def test_what_goes_with_activations_of_8_bits_only() -> None:
    with pytest.raises(InputError, match=r"`activation_bits=16` with `exact=True`\n.*not exact"):
        QuantConfig(activation_bits=16, exact=True)
    with pytest.raises(InputError, match=r'`activation_bits=16` with `rounding="learned"`'):
        QuantConfig(activation_bits=16, rounding="learned")


def test_pairs_matter_where_two_weights_of_a_grid_do_not_fit() -> None:
    assert QuantConfig(target="x86-avx2").pairs_matter(8)
    assert not QuantConfig(target="x86-avx2").pairs_matter(7)
    assert not QuantConfig(target="x86").pairs_matter(8)
    assert not QuantConfig(target="x86-avx2", rounding="learned").pairs_matter(8)
