"""Compare a file of an older opset with the model it was made from: both run once in onnxruntime, on random inputs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from fxpasses.errors import FxPassesError, GraphError

from ..exact_sums import set_exact_sums
from ..onnx_reader import opset_of, read_onnx
from ..onnx_refusals import SILENT, refusals_told
from .forms import BASE

if TYPE_CHECKING:
    import onnx

Inputs = list[torch.Tensor]


def require_same_results(newer: bytes, path: Path, inputs: Inputs) -> None:
    """Raise GraphError unless a file of an older opset gives the very numbers of the model of opset 18.

    Args:
        newer: the model of opset 18.
        inputs: values for the inputs of both, in order.
    """
    import onnx

    try:
        expected = _results(onnx.load_from_string(newer), inputs)
    except FxPassesError:
        return  # nothing to compare with: the model refuses such inputs
    older = read_onnx(path)
    for number, (a, b) in enumerate(zip(expected, _results(older, inputs), strict=True)):
        if not _equal(a, b):
            raise GraphError(
                f"output {number} in opset {opset_of(older)}",
                why=f"onnxruntime gives other numbers than for opset {BASE}, on random inputs",
                fix=f"use opset={BASE}; verify=False writes the file unchecked",
                step="to_onnx",
            )


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def _results(model: onnx.ModelProto, inputs: Inputs) -> list[np.ndarray]:
    """The outputs of a model; none if numpy lacks the type of one."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = SILENT, torch.get_num_threads()
    set_exact_sums(options, model)
    with refusals_told(f"onnxruntime {ort.__version__} does not run the file", "verify=False writes it unchecked"):
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        if any("bfloat16" in tensor.type for tensor in (*session.get_inputs(), *session.get_outputs())):
            return []
        names = [given.name for given in session.get_inputs()]
        found: list[np.ndarray] = session.run(None, dict(zip(names, [x.numpy() for x in inputs], strict=True)))
    return found
