"""One run of torch.export for both files of a graph."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_graphs import quantized
from torch import Tensor, nn

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


class Padded(nn.Module):
    """Attention that is kept whole, with a mask of what is padded."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.attention = nn.Embedding(9, 8), nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.table(ids)
        x = x + self.attention(x, x, x, key_padding_mask=ids == 0, need_weights=False)[0]
        found: Tensor = self.head(x)
        return found


def test_what_is_kept_whole_writes_to_no_tensor(tmp_path: Path) -> None:
    ids = torch.tensor([[1, 2, 3, 0], [4, 5, 0, 0], [6, 7, 8, 1]])
    config = fxpasses.QuantConfig(target="x86", equalization=False, narrow_ranges=False)
    int8 = fxpasses.quantize(Padded().eval(), ids[:2], [ids], config)
    program = exported_program(int8)
    assert not any(
        str(node.target).split(".")[-2].endswith("_") for node in program.graph.nodes if "aten" in str(node.target)
    )
    loaded = load(save(int8, tmp_path / "m.pt2", program=program))
    assert torch.equal(loaded(ids), int8(ids))
    assert to_onnx(int8, tmp_path / "m.onnx", program=program).is_file()  # compared with the graph
