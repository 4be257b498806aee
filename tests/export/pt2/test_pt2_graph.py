"""A loaded program is the canonical graph it was saved from, call for call."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_graphs import operators_of, quantized

from fxpasses.export import load, save
from fxpasses.graph.shapes import shape_of
from fxpasses.quantization.int8.int8_calls import find_int8_calls
from fxpasses.quantization.numbers import ops


@pytest.mark.parametrize(
    "name", ["residual_block", "conv1d_bn_relu", "conv3d_bn_relu", "conv_transpose2d_grouped_bn", "embedding_linear"]
)
def test_every_integer_call_is_found_again(name: str, tmp_path: Path) -> None:
    gm = quantized(name)
    loaded = load(save(gm, tmp_path / "model.pt2"))
    assert operators_of(loaded) == operators_of(gm)
    found, expected = (list(find_int8_calls(g).values()) for g in (loaded, gm))
    assert found
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.name, ours.operator, ours.x, ours.y) == (theirs.name, theirs.operator, theirs.x, theirs.y)
        assert ours.clamp == theirs.clamp
        assert (ours.layer is None) == (theirs.layer is None)


def test_names_and_shapes(tmp_path: Path) -> None:
    loaded = load(save(quantized("residual_block"), tmp_path / "model.pt2"))
    for node in loaded.graph.nodes:
        if node.target is ops.quantize:
            assert [reader.name for reader in node.users] == [f"{node.name.removesuffix('_int8')}_float"]
            assert shape_of(node) is not None
