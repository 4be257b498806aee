"""One run of torch.export for both files of a graph."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_graphs import quantized

import fxpasses
from fxpasses.errors import InputError
from fxpasses.export.onnx_writer.write import to_onnx
from fxpasses.export.program import example_inputs, exported_program
from fxpasses.export.pt2.save_and_load import load, save


def test_example_inputs() -> None:
    (image,) = example_inputs(quantized("conv_bn_relu"))
    assert image.shape == (2, 5, 9, 7) and image.dtype == torch.float32 and not image.any()
    (tokens,) = example_inputs(quantized("embedding_linear"))
    assert tokens.dtype == torch.int64 and tokens.shape == (2, 6)


@pytest.mark.parametrize("name", ["conv_bn_relu", pytest.param("embedding_linear", marks=pytest.mark.slow)])
def test_files_of_a_shared_program_are_those_of_one_each(name: str, tmp_path: Path) -> None:
    int8 = quantized(name)
    program = exported_program(int8)
    both = (
        to_onnx(int8, tmp_path / "shared.onnx", program=program),
        save(int8, tmp_path / "shared.pt2", program=program),
    )
    alone = to_onnx(int8, tmp_path / "alone.onnx"), save(int8, tmp_path / "alone.pt2")
    assert both[0].read_bytes() == alone[0].read_bytes()
    assert load(both[1]).code == load(alone[1]).code
    assert program.example_inputs is not None, "save left the program as it was"


@pytest.mark.slow
def test_a_batch_that_is_fixed(tmp_path: Path) -> None:
    int8 = quantized("conv_bn_relu")
    program = exported_program(int8, dynamic_batch=False)
    shared = to_onnx(int8, tmp_path / "shared.onnx", dynamic_batch=False, program=program)
    assert shared.read_bytes() == to_onnx(int8, tmp_path / "a.onnx", dynamic_batch=False).read_bytes()


def test_a_program_of_another_graph_is_refused(tmp_path: Path) -> None:
    program = exported_program(quantized("residual_block"))
    for write, name in ((to_onnx, "m.onnx"), (save, "m.pt2")):
        with pytest.raises(InputError, match="exported from another graph") as refused:
            write(quantized("conv_bn_relu"), tmp_path / name, program=program)
        assert "exported_program(graph)" in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_it_is_part_of_the_package() -> None:
    assert fxpasses.export.exported_program is exported_program
