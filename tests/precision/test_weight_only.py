"""Weight-only: integers, blocks and scales, and the same bytes in onnxruntime."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lowered_nets import changed, images, mixed, reasons, sqnr_db

from fxpasses.errors import InputError
from fxpasses.export.onnx_reader import read_onnx
from fxpasses.export.onnx_writer.write import to_onnx
from fxpasses.measure.runners import onnx_runner
from fxpasses.precision.ops import unpacked
from fxpasses.precision.weight_only import WeightOnlyConfig, WeightOnlyLinear, packed, quantized_blocks, to_weight_only

FLOAT_NOISE_DB = 100.0
"""Least SQNR of two runtimes that multiply the same floats in another order: 2**-22 gives more than 120 dB."""


@pytest.mark.parametrize(
    ("config", "least"),
    [(WeightOnlyConfig(8), 40.0), (WeightOnlyConfig(8, 32), 42.0), (WeightOnlyConfig(4, 32), 20.5)],
)
def test_error_of_normal_weights(config: WeightOnlyConfig, least: float) -> None:
    weight = torch.randn(20, 70, generator=torch.Generator().manual_seed(2))
    integers, scale = quantized_blocks(weight, config)
    assert sqnr_db(weight, unpacked(packed(integers, config.bits), scale, 70, config.bits)) > least


def test_largest_weight_of_a_group_is_on_the_long_side() -> None:
    weight = torch.linspace(-0.5, 1.0, 32).reshape(1, 32)
    integers, scale = quantized_blocks(weight, WeightOnlyConfig(4, 32))
    assert float(scale) < 0 and int(integers.min()) == -8 and int(integers[0, 0, -1]) == -8


def test_one_scale_for_a_channel() -> None:
    _, scale = quantized_blocks(torch.randn(3, 300), WeightOnlyConfig(8))
    assert scale.shape == (3, 3) and torch.equal(scale[:, :1].expand(3, 3), scale)


@pytest.mark.parametrize("bits", [8, 4])
def test_both_runtimes_hold_the_same_bytes(bits: int, tmp_path: Path) -> None:
    lowered = to_weight_only(mixed(), WeightOnlyConfig(bits, compute="float"))
    assert changed(lowered) == ["first", "last"]
    assert "a convolution" in reasons(lowered)["conv"]
    path = to_onnx(lowered, tmp_path / "model.onnx")
    file = read_onnx(path)
    stored = {(tuple(t.dims), t.raw_data) for t in file.graph.initializer}
    layers = [m for m in lowered.modules() if isinstance(m, WeightOnlyLinear)]
    for layer in layers:
        for value in (layer.weight, layer.scale):
            assert (tuple(value.shape), value.numpy().tobytes()) in stored
    assert [n.op_type for n in file.graph.node].count("MatMulNBits") == len(layers) == 2
    with torch.no_grad():
        found = lowered(images())
    assert sqnr_db(found, onnx_runner(path, "int8")(images())) > FLOAT_NOISE_DB


def test_int8_compute_is_close(tmp_path: Path) -> None:
    lowered = to_weight_only(mixed(), WeightOnlyConfig(8))
    path = to_onnx(lowered, tmp_path / "model.onnx")
    with torch.no_grad():
        assert 25 < sqnr_db(lowered(images()), onnx_runner(path, "int8")(images())) < FLOAT_NOISE_DB


@pytest.mark.parametrize(
    ("settings", "what"),
    [({"bits": 3}, "`bits=3`"), ({"group_size": 48}, "`group_size=48`"), ({"compute": "int4"}, "`compute=.int4.`")],
)
def test_bad_settings(settings: dict[str, object], what: str) -> None:
    with pytest.raises(InputError, match=what):
        WeightOnlyConfig(**settings)  # type: ignore[arg-type]
