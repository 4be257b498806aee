"""Binary and ternary networks: training rules, graphs with such weights, and how they are deployed.

    graph = fx.capture(model.eval(), example_inputs)           # FLOAT, BatchNorm in it
    graph = binarize(graph, "binaryconnect")                   # layers keep a real weight and compute with its sign
    train_binary(graph, batches_of_epoch, BinaryTraining(...), steps_per_epoch=600)
    deployed = deploy(graph)                                   # FLOAT, plain layers, binary weights
    int8 = quantize_binary(deployed, batches)                  # QUANTIZED: int8 weights of -1 and +1
    fx.export.to_onnx(int8, "net.onnx")
    fx.export.packed_file.save_packed(int8, "net.fxbits")      # one bit a weight

Names are loaded at their first use: the table of operators reads :mod:`fxpasses.graph.binary_ops`, and the rest reads
the table.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .binarizing import METHODS as METHODS
    from .binarizing import binarize as binarize
    from .deployment import deploy as deploy
    from .overwriting import BinaryConnect as BinaryConnect
    from .quantized import binary_config as binary_config
    from .quantized import quantize_binary as quantize_binary
    from .training import BinaryTraining as BinaryTraining
    from .training import squared_hinge as squared_hinge
    from .training import train_binary as train_binary

_HOMES = {
    "METHODS": "binarizing",
    "binarize": "binarizing",
    "BinaryConnect": "overwriting",
    "BinaryTraining": "training",
    "binary_config": "quantized",
    "deploy": "deployment",
    "quantize_binary": "quantized",
    "squared_hinge": "training",
    "train_binary": "training",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(_HOMES)
