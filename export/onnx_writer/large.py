"""ONNX files of large models: protobuf holds 2 GB, so weights beyond that lie in a second file, ``model.onnx.data``.

Both files are written, checked and moved together, and must stay in one folder.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fxpasses.errors import GraphError

from ..files import staged_folder
from .limits import IN_TORCH

if TYPE_CHECKING:
    import onnx_ir

LARGEST_MESSAGE = 2**31 - 2**27
"""Largest size of all weights in bytes for a single protobuf message, which also holds nodes and names."""


def weight_bytes(model: onnx_ir.Model) -> int:
    """Size of all weights of a model in bytes."""
    values = (value.const_value for value in model.graph.initializers.values())
    return sum(tensor.nbytes for tensor in values if tensor is not None)


def data_file(path: Path) -> Path:
    """The file beside an ONNX file that contains its weights."""
    return path.with_name(f"{path.name}.data")


def write_with_weights_beside(model: onnx_ir.Model, path: Path, check: Callable[[Path], None] | None = None) -> Path:
    """Write a model and its weights as two files, call ``check`` on them, then move them to their place.

    Raises:
        GraphError: ``onnx.checker`` refuses the model.
        InputError: a file cannot be written.
    """
    import onnx
    import onnx_ir

    with staged_folder(path.parent) as folder:
        written = folder / path.name
        onnx_ir.save(model, written, external_data=data_file(path).name)
        try:
            onnx.checker.check_model(str(written), full_check=False)
        except onnx.checker.ValidationError as error:
            raise not_valid(path, error) from error
        if check is not None:
            check(written)
    return path


def not_valid(path: Path, error: Exception) -> GraphError:
    """The error for a model that ``onnx.checker`` refuses."""
    return GraphError(
        f"the ONNX model for {path}",
        why=f"onnx.checker: {str(error).splitlines()[0]}",
        fix=IN_TORCH,
        step="to_onnx",
    )
