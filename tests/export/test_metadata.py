"""Metadata of files."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import pytest
import torch
from tiny_graphs import X86, fused, own_copy, quantize_net, quantized
from tiny_nets.all_nets import TINY

from fxpasses.errors import InputError
from fxpasses.export import metadata
from fxpasses.export.metadata import metadata_of, qparams_hash, recipe_from, recipe_text
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.quantization.numbers import ops


def test_a_float_graph_has_no_recipe() -> None:
    found = metadata_of(fused("conv_bn_relu"))
    assert found.keys() == {"fxpasses.stage", "fxpasses.version", "fxpasses.torch"}
    assert found["fxpasses.stage"] == "FLOAT"


def test_a_quantized_graph_says_how_it_was_made() -> None:
    found = metadata_of(quantized("conv_bn_relu"))
    assert found["fxpasses.target"] == "x86"
    assert recipe_from(found["fxpasses.recipe"]) == X86
    assert len(found["fxpasses.qparams_sha256"]) == 64
    assert all(isinstance(value, str) for value in found.values())


@pytest.mark.parametrize(
    "config",
    [
        QuantConfig(),
        QuantConfig(target="cuda", observer="percentile:99.9", weight_search="mse", tie_free=False),
        QuantConfig(exact=True, overrides=(Override("a*", keep_float=True), Override("b", observer="minmax"))),
    ],
)
def test_recipes_are_read_as_they_were_written(config: QuantConfig) -> None:
    assert recipe_from(recipe_text(config)) == config


def test_equal_models_have_equal_hashes() -> None:
    assert qparams_hash(quantize_net(TINY["conv_bn_relu"])) == qparams_hash(quantized("conv_bn_relu"))


@pytest.mark.parametrize("name", ["conv_bn_relu", "embedding_linear", "constant_added"])
def test_every_integer_buffer_counts(name: str) -> None:
    gm = own_copy(quantized(name))
    before = qparams_hash(gm)
    integers = [b for b in gm.buffers() if b.dtype in (torch.int8, torch.uint8, torch.int32)]
    assert integers
    for buffer in integers:
        buffer.flatten()[0] ^= 1
        assert qparams_hash(gm) != before
        buffer.flatten()[0] ^= 1
    assert qparams_hash(gm) == before


@pytest.mark.parametrize("argument", [1, 2])
def test_every_scale_and_zero_point_counts(argument: int) -> None:
    gm = own_copy(quantized("residual_block"))
    before = qparams_hash(gm)
    for node in [n for n in gm.graph.nodes if n.target in (ops.quantize, ops.dequantize)]:
        arguments = node.args
        node.args = (*arguments[:argument], arguments[argument] + 1, *arguments[argument + 1 :])
        assert qparams_hash(gm) != before
        node.args = arguments


def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert metadata_of(fused("conv_bn_relu"))["fxpasses.version"] == "unknown"


@pytest.mark.parametrize("text", ['{"target": "auto"}', "{}"])
def test_a_recipe_that_means_another_thing_on_each_machine_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="would depend on the machine"):
        recipe_from(text)
