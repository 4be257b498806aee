"""Notes on the nodes of our ONNX files: metadata under ``fxpasses.*``, all of it text."""

from __future__ import annotations

TENSOR = "fxpasses.tensor"
"""Key of the note with the graph's name of the tensor that the node computes."""
NODE = "fxpasses.node"
"""Key of the note with the exported program's node, for an ONNX node whose result is no integer tensor."""
MODULE = "fxpasses.module"
"""Key of the note with the layer's path in the original model."""
OPERATOR = "fxpasses.operator"
"""Key of the note with the operator's name in the vocabulary of this package."""
GRID = "fxpasses.grid"
"""Key of the note with type, scale and zero point of the result's integers."""
WEIGHTS = "fxpasses.weights"
"""Key of the note with the type of the weights, and the range of their scales."""
FOLDED = "fxpasses.folded"
"""Key of the note with the nodes that passes folded into the layer."""
SQNR_DB = "fxpasses.sqnr_db"
"""Key of the note with the signal-to-quantization-noise ratio of the result on calibration data, in decibel."""

LONGEST = 1000


def notes_in(entries: dict[str, str]) -> dict[str, str]:
    """The notes among a node's metadata, each cut to ``LONGEST`` characters; those of other tools are left out."""
    known = (TENSOR, NODE, MODULE, OPERATOR, GRID, WEIGHTS, FOLDED, SQNR_DB)
    return {key: entries[key][:LONGEST] for key in known if key in entries}
