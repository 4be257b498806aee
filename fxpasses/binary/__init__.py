"""Binary and ternary networks: training rules, graphs with such weights, and files of one bit a weight.

    graph = fx.capture(model.eval(), example_inputs)           # FLOAT, BatchNorm in it
    graph = binarize(graph, "binaryconnect")                   # layers keep a real weight and compute with its sign
    train_binary(graph, batches_of_epoch, BinaryTraining(...))
    deployed = deploy(graph)                                   # FLOAT, plain layers, binary weights
    int8 = quantize_binary(deployed, batches)                  # QUANTIZED: int8 weights of -1 and +1
    save_packed(int8, "net.fxb")                               # one bit a weight
"""

from __future__ import annotations

from .binarize import METHODS as METHODS
from .binarize import binarize as binarize
from .deploy import deploy as deploy
from .overwriting import BinaryConnect as BinaryConnect
from .quantized import binary_config as binary_config
from .quantized import quantize_binary as quantize_binary
from .training import BinaryTraining as BinaryTraining
from .training import squared_hinge as squared_hinge
from .training import train_binary as train_binary
