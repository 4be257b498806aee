"""Opens the artifacts of a folder as runners, and builds its float model again where that is possible."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import fx

from fxpasses.errors import FxPassesError
from fxpasses.export.pt2.save_and_load import load
from fxpasses.export.torch_int8 import to_torch
from fxpasses.passes.fusion import fuse

from ..terminal import Terminal
from .artifacts import FLOAT_ONNX, INT8_ONNX, INT8_PT2, artifact
from .captured_model import captured_model
from .folder import model_of
from .measuring import Artifact
from .static_artifacts import static_artifacts


def folder_artifacts(
    report: Mapping[str, Any], folder: Path, terminal: Terminal, device: str = "cpu"
) -> tuple[list[Artifact], fx.GraphModule]:
    """Return the artifacts of a folder that can be measured, and its int8 graph.

    Torch fp32 is left out, with a remark, if its model is no longer there.

    Raises:
        InputError: an artifact is missing or cannot be loaded; or PyTorch cannot compute on ``device``.
    """
    for name in (FLOAT_ONNX, INT8_ONNX, INT8_PT2):
        artifact(folder, name)
    with terminal.step("load artifacts"):
        graph = float_graph(report, folder, terminal)
        int8 = load(folder / INT8_PT2)
        made = static_artifacts(folder, graph, int8, to_torch(int8), threads=1, device=device)
        return list(made), int8


def float_graph(report: Mapping[str, Any], folder: Path, terminal: Terminal) -> fx.GraphModule | None:
    """Build the FLOAT graph that the folder was made from; None, with a remark, if that is not possible."""
    if "pruning" in report:
        terminal.remark("torch fp32 is left out: the model was pruned, and cannot be made again from its name")
        return None
    try:
        model = model_of(report, folder)
        return fuse(captured_model(model))
    except FxPassesError as error:
        terminal.remark(f"torch fp32 is left out: {str(error).splitlines()[0]}")
        return None
