"""What each operator of our ONNX files says of itself: metadata of nodes under ``fxpasses.*``, all of it text."""

from __future__ import annotations

TENSOR = "fxpasses.tensor"
"""The graph's name of what it computes."""
NODE = "fxpasses.node"
"""The node of the exported program that it is a part of, where its result is no integer tensor."""
MODULE = "fxpasses.module"
"""The path of the layer in the original model."""
OPERATOR = "fxpasses.operator"
"""Its operator, in the project's vocabulary."""
GRID = "fxpasses.grid"
"""Type, scale and zero point of its integers."""
WEIGHTS = "fxpasses.weights"
"""Type of its weights, and between what their scales lie."""
FOLDED = "fxpasses.folded"
"""The nodes that passes folded into it."""
SQNR_DB = "fxpasses.sqnr_db"
"""Signal to quantization noise of what it computes, on calibration data, in decibel."""

LONGEST = 1000


def notes_in(entries: dict[str, str]) -> dict[str, str]:
    """The notes among a node's metadata, each cut to ``LONGEST`` characters; those of other tools are left out."""
    known = (TENSOR, NODE, MODULE, OPERATOR, GRID, WEIGHTS, FOLDED, SQNR_DB)
    return {key: entries[key][:LONGEST] for key in known if key in entries}
