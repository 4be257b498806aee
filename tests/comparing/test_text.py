"""A difference in words."""

from __future__ import annotations

from tiny_graphs import captured, fused, quantized

from fxpasses.comparing.difference import diff


def test_the_summary_counts_and_the_table_names() -> None:
    lines = str(diff(captured("conv_bn_relu"), quantized("conv_bn_relu"))).splitlines()
    assert lines[0].startswith("A  ") and "FLOAT graph" in lines[0]
    assert any(line.split() == "folded into the layer in front 1 batch_norm".split() for line in lines)
    assert any("folded into" in line and "batch_norm" in line for line in lines[6:])


def test_one_that_stays_is_one() -> None:
    text = str(diff(captured("conv_bn_relu"), fused("conv_bn_relu")))
    assert any(line.split() == ["unchanged", "2", "operators"] for line in text.splitlines())
