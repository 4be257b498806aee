"""Errors of files and engines: code that raises one, a part of its remedy, and the code with the remedy."""

from __future__ import annotations

from remedy_subjects import IMAGES, Case, float_file, int8_file, small_graph, small_net
from tiny_graphs import observed, quantized

import fxpasses
from fxpasses.export import exported_program, load, parity, save, to_onnx, to_torch
from fxpasses.export.onnx_writer.optimizer import optimize_onnx
from fxpasses.measure.runners import onnx_runner, torch_runner

FILE_CASES: dict[str, Case] = {
    # files
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
