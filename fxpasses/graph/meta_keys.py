"""Keys of ``node.meta`` that the toolkit writes; ``stack_trace``, ``nn_module_stack`` and ``val`` are torch's own."""

from __future__ import annotations

SHAPE = "shape"
"""The shape of the node's tensor on the example inputs, batch included; a list of shapes where it gives several."""
DTYPE = "dtype"
"""The dtype of the node's tensor."""
LAYER = "int8_layer"
"""On what dequantizes a weight or bias: the name of the float graph's node whose layer had it."""
INT8_NAME = "int8_name"
"""In a graph of kernels: the name of the ``quantize`` node whose integers the node computes."""
SQNR = "sqnr_db"
"""On a ``quantize`` node: signal to quantization noise of its tensor on calibration data, in decibel."""
HISTOGRAM = "integer_histogram"
"""On a ``quantize`` node: how often its integers fell into each part of the grid, on calibration data."""
