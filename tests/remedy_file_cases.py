"""Errors of files and engines: code that raises one, a part of its remedy, and the code with the remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import onnx
import torch
from older_models import one_node, same_numbers
from remedy_subjects import IMAGES, Case, float_file, int8_file, small_graph, small_net
from tiny_graphs import observed, quantized
from torch import Tensor, nn

import fxpasses
from fxpasses.cli.folders.batch_places import with_batch_dims
from fxpasses.export import exported_program, load, parity, save, to_onnx, to_torch
from fxpasses.export.files import file_bytes
from fxpasses.export.onnx_reader import read_onnx
from fxpasses.export.onnx_writer.optimizer import optimize_onnx
from fxpasses.measure.runners import onnx_runner, torch_runner
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.model_input import UNIT_RANGE

ROW = np.array([[0.5, -2.0, 3.0]], np.float32)
GRIDS = (torch.randn(2, 3, 4, 4), torch.rand(2, 3, 3, 2))


class Sampled(nn.Module):
    """A grid sample, which ONNX has from opset 16 on."""

    def forward(self, x: Tensor, grid: Tensor) -> Tensor:
        return nn.functional.grid_sample(x, grid, align_corners=False)


def sampled(folder: Path, opset: int) -> Path:
    return to_onnx(fxpasses.capture(Sampled().eval(), GRIDS), folder / "m.onnx", opset=opset, verify=False)


def placed(*examples: Tensor, module: nn.Module | None = None) -> LoadedModel:
    module = (module or Times()).eval()
    return with_batch_dims(LoadedModel("net", module, (2,), UNIT_RANGE, pretrained=True, examples=examples))


class Times(nn.Module):
    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return x * 2 if y is None else x * y.sum()


def unreadable(folder: Path) -> Any:
    with patch.object(onnx, "load", side_effect=PermissionError):  # root may read every file
        return read_onnx(float_file(folder))


def renamed(path: Path) -> Path:
    """The file with a name that is no UTF-8."""
    name = onnx.load(path).graph.name.encode()
    path.write_bytes(path.read_bytes().replace(name, b"\xff" * len(name)))
    return path


def text(folder: Path) -> Path:
    (folder / "text.onnx").write_text("no model")
    return folder / "text.onnx"


FILE_CASES: dict[str, Case] = {
    "export/files.py:file_bytes": (
        lambda folder: file_bytes(folder / "absent.onnx"),
        "give the path of a model's file",
        lambda folder: file_bytes(float_file(folder)),
    ),
    "export/files.py:_external_files": (
        lambda folder: file_bytes(text(folder)),
        "export it again",
        lambda folder: file_bytes(float_file(folder)),
    ),
    "export/onnx_reader.py:read_onnx#2": (
        unreadable,
        "make it readable",
        lambda folder: read_onnx(float_file(folder)),
    ),
    "export/onnx_reader.py:read_onnx#5": (
        lambda folder: read_onnx(renamed(float_file(folder))),
        "export it with other names",
        lambda folder: read_onnx(float_file(folder)),
    ),
    # files
    "export/older_opsets/lower.py:to_older_opset": (
        lambda folder: sampled(folder, 13),
        "use opset=16 or a later one, or leave it out",
        lambda folder: (sampled(folder, 16), sampled(folder, 18)),
    ),
    "export/older_opsets/same_results.py:require_same_results": (
        lambda folder: same_numbers(folder, one_node("Mish", [ROW]), one_node("HardSwish", [ROW])),
        "use opset=18; verify=False writes the file unchecked",
        lambda folder: same_numbers(folder, one_node("Mish", [ROW]), one_node("Mish", [ROW])),
    ),
    "fxpasses/cli/folders/batch_places.py:_require_other_sizes": (
        lambda _: placed(torch.randn(4), module=nn.Linear(4, 3)),
        "example inputs [B, ...], of which any number of samples are taken",
        lambda _: placed(torch.randn(2, 4), module=nn.Linear(4, 3)),
    ),
    "fxpasses/cli/folders/batch_places.py:_require_samples": (
        lambda _: placed(torch.randn(3, 2), torch.randn(4)),
        "make a constant of it inside the module",
        lambda _: placed(torch.randn(3, 2)),
    ),
    "export/onnx_writer/write.py:_check_asked": (
        lambda folder: to_onnx(small_graph(), folder / "m.onnx", form="qqd"),  # type: ignore[arg-type]
        "use 'qdq' or 'qoperator'",
        lambda folder: to_onnx(small_graph(), folder / "m.onnx", form="qdq", verify=False),
    ),
    "export/onnx_writer/write.py:_check_asked#2": (
        lambda folder: to_onnx(small_graph(), folder / "m.onnx", opset=12),
        "leave it out (18), or use one of those",
        lambda folder: to_onnx(small_graph(), folder / "m.onnx", opset=18, verify=False),
    ),
    "export/onnx_writer/write.py:_check_asked#3": (
        lambda folder: to_onnx(observed("conv_bn_relu"), folder / "m.onnx"),
        "fx.convert(graph), or export the float graph",
        lambda folder: to_onnx(fxpasses.convert(observed("conv_bn_relu")), folder / "m.onnx", verify=False),
    ),
    "export/pt2/save_and_load.py:write_program": (
        lambda folder: save(quantized("conv_bn_relu"), folder / "m.pth"),
        "name it m.pt2",
        lambda folder: save(quantized("conv_bn_relu"), folder / "m.pt2"),
    ),
    "export/pt2_records/records.py:refusing": (
        lambda folder: load(folder / "absent.pt2"),
        "name a .pt2 file fxpasses wrote",
        lambda folder: load(save(quantized("conv_bn_relu"), folder / "m.pt2")),
    ),
    "export/program.py:check_is_of": (
        lambda folder: save(quantized("cat"), folder / "m.pt2", program=exported_program(quantized("conv_bn_relu"))),
        "exported_program(graph), of the graph that is written",
        lambda folder: save(quantized("cat"), folder / "m.pt2", program=exported_program(quantized("cat"))),
    ),
    "export/onnx_writer/optimizer.py:optimize_onnx": (
        lambda folder: optimize_onnx(float_file(folder), folder / "o.onnx", "fast"),  # type: ignore[arg-type]
        "one of onnxruntime, onnxruntime-tools, none",
        lambda folder: optimize_onnx(float_file(folder), folder / "o.onnx", "none"),
    ),
    "export/onnx_writer/optimizer.py:optimize_onnx#2": (
        lambda folder: optimize_onnx(int8_file(folder), folder / "o.onnx"),
        "optimise the float file instead",
        lambda folder: optimize_onnx(float_file(folder), folder / "o.onnx"),
    ),
    "fxpasses/measure/runners.py:onnx_runner": (
        lambda folder: onnx_runner(folder / "absent.onnx", "int8"),
        "give the path of an .onnx file",
        lambda folder: onnx_runner(int8_file(folder), "int8"),
    ),
    "fxpasses/measure/runners.py:_checked_threads": (
        lambda _: torch_runner(small_net(), "fp32", threads=0),
        "ask for 1 or more",
        lambda _: torch_runner(small_net(), "fp32", threads=1),
    ),
    "export/torch_int8.py:to_torch": (
        lambda _: to_torch(quantized("conv_bn_relu"), "x87"),
        "did you mean 'x86'?",
        lambda _: to_torch(quantized("conv_bn_relu"), "x86"),
    ),
    "export/torch_int8.py:to_torch#2": (
        lambda _: to_torch(quantized("conv_bn_relu"), "reference", autotune=True),
        "leave autotune out, or use engine='x86'",
        lambda _: (
            to_torch(quantized("conv_bn_relu"), "reference"),
            to_torch(quantized("conv_bn_relu"), autotune=True),
        ),
    ),
    "fxpasses/agreement/parity_check.py:parity": (
        lambda folder: parity(quantized("conv_bn_relu"), [], onnx_path=int8_file(folder)),
        "pass at least one batch",
        lambda folder: parity(quantized("conv_bn_relu"), [IMAGES], onnx_path=int8_file(folder)),
    ),
    "fxpasses/agreement/parity_check.py:_other_model": (
        lambda folder: parity(quantized("conv_bn_relu"), [IMAGES], onnx_path=int8_file(folder, "cat")),
        "use the file of this model: fx.export.to_onnx(graph, path)",
        lambda folder: parity(quantized("conv_bn_relu"), [IMAGES], onnx_path=int8_file(folder)),
    ),
}
