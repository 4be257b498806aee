"""Optimise a float ONNX file before it is shipped or measured.

Three tools, chosen by name (``--optimizer``):

``onnxruntime``
    onnxruntime's own graph optimiser at its *basic* level: constant folding, removal of identities, folding of
    BatchNorm. The result contains ai.onnx operators only, so that any runtime can read it. Higher levels are left to
    onnxruntime's own start-up: they write operators that other machines may not have.
``onnxruntime-tools``
    The package of that name, last released in 2021, with fusions for BERT and GPT-2. Its successor is part of
    onnxruntime, ``onnxruntime.transformers``. An optional extra, run in a process and a folder of its own: on import it
    prints, it extends ``sys.path``, and it writes temporary files beside its input.
``none``
    A copy, its weights inside.

The outputs are equal up to float rounding. A file with Q/DQ pairs or integer operators is refused: two runtimes compute
the same integers only with these operators in their places, and the optimiser moves them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from fxpasses.errors import InputError

from ..files import atomic_write, file_bytes, staged_folder
from ..onnx_reader import read_onnx
from ..onnx_refusals import SILENT, refusals_told
from . import large as onnx_large

if TYPE_CHECKING:
    import onnx

Optimizer = Literal["onnxruntime", "onnxruntime-tools", "none"]

_STANDARD_DOMAINS = ("", "ai.onnx")
_INTEGER_OPERATORS = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger")


def optimize_onnx(source: Path, destination: Path, tool: Optimizer = "onnxruntime") -> None:
    """Write ``source``, optimised by ``tool``, to ``destination``, which may be the same file.

    Raises InputError if the file cannot be read or has integer operators, the tool is unknown, not installed or
    gives up on the graph, or the destination cannot be written; the destination is then unchanged.
    """
    import onnx

    if tool not in get_args(Optimizer):
        raise InputError(
            f"optimizer {tool!r}", why="there is no tool of that name", fix=f"one of {', '.join(get_args(Optimizer))}"
        )
    model = read_onnx(source, weights=False)
    reason = _why_not_optimizable(model)
    if reason and tool != "none":
        raise InputError(f"optimizer {tool!r} on {source}", why=reason, fix="optimise the float file instead")
    if file_bytes(source) > onnx_large.LARGEST_MESSAGE:
        _optimize_large(source, destination, tool)
        return
    model = read_onnx(source)
    tools: dict[str, Callable[[Path, Path], None]] = {
        "onnxruntime": _by_onnxruntime,
        "onnxruntime-tools": _by_onnxruntime_tools,
    }
    with (
        atomic_write(destination) as temporary,
        tempfile.TemporaryDirectory(dir=temporary.parent) as scratch,
    ):
        given, written = Path(scratch, "given.onnx"), Path(scratch, "written.onnx")
        onnx.save(model, given)  # one file, even where the weights lay in another
        if tool == "none":
            given.replace(temporary)
            return
        tools[tool](given, written)
        _tidy(written)
        written.replace(temporary)


def _optimize_large(source: Path, destination: Path, tool: Optimizer) -> None:
    """Optimise a model whose weights do not fit into one protobuf message; they are written beside the file."""
    import onnx_ir

    if tool == "onnxruntime-tools":
        raise InputError(
            f"optimizer {tool!r} on {source}",
            why="its weights are larger than the 2 GB of one file, and the tool knows no other",
            fix='use `optimizer="onnxruntime"`',
        )
    with staged_folder(destination.parent) as folder:
        written, data = folder / destination.name, onnx_large.data_file(destination).name
        if tool == "none":
            onnx_ir.save(onnx_ir.load(source), written, external_data=data)
        else:
            _by_onnxruntime(source, written, data)


def _why_not_optimizable(model: onnx.ModelProto) -> str | None:
    for node in model.graph.node:
        if node.op_type in _INTEGER_OPERATORS or node.op_type.startswith("QLinear"):
            return f"it is quantized (operator {node.op_type}); moving its Q/DQ pairs would change its numbers"
    return None


def _by_onnxruntime(given: Path, written: Path, data: str | None = None) -> None:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(written)
    options.log_severity_level = SILENT
    if data is not None:
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", data)
    with refusals_told("onnxruntime refuses the file", "export it again", written):
        ort.InferenceSession(str(given), options, providers=["CPUExecutionProvider"])


def _by_onnxruntime_tools(given: Path, written: Path) -> None:
    if find_spec("onnxruntime_tools") is None:
        raise InputError(
            "optimizer 'onnxruntime-tools'",
            why="the package onnxruntime-tools is not installed",
            fix='pip install "fxpasses[onnxruntime-tools]", or leave `optimizer` at onnxruntime',
        )
    # Zero heads and hidden size: detected from the graph instead of assumed to be BERT-base's.
    command = [sys.executable, "-m", "onnxruntime_tools.optimizer_cli", "--input", str(given), "--output", str(written)]
    command += ["--model_type", "bert", "--num_heads", "0", "--hidden_size", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not written.exists():
        last_words = done.stderr.strip().splitlines()[-1:] or ["it wrote no file"]
        raise InputError(
            "onnxruntime-tools gave up on the graph",
            why=f"{last_words[0]} (the package is from 2021 and knows the graphs of its day)",
            fix='use `optimizer="onnxruntime"`',
        )


def _tidy(path: Path) -> None:
    """Sort the nodes, which onnxruntime-tools leaves unsorted, and drop opset imports that no node uses."""
    import onnx
    import onnx_ir

    model = onnx_ir.load(path)
    model.graph.sort()
    proto = onnx_ir.to_proto(model)
    used = {node.domain for node in proto.graph.node} | {node.domain for f in proto.functions for node in f.node}
    kept = [opset for opset in proto.opset_import if opset.domain in used or opset.domain in _STANDARD_DOMAINS]
    del proto.opset_import[:]
    proto.opset_import.extend(kept)
    onnx.checker.check_model(proto)
    onnx.save(proto, path)
