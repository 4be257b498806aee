"""Keys of ``node.meta`` that the toolkit writes; ``stack_trace``, ``nn_module_stack`` and ``val`` are torch's own."""

from __future__ import annotations

SHAPE = "shape"
"""Key of the shape of the node's tensor for the example inputs, batch included; a list for several tensors."""
DTYPE = "dtype"
"""Key of the dtype of the node's tensor."""
LAYER = "int8_layer"
"""Key on the dequantize node of a weight or bias: the name of the float node whose layer owned the tensor."""
INT8_NAME = "int8_name"
"""Key in a graph of kernels: the name of the ``quantize`` node whose integers the node computes."""
SQNR = "sqnr_db"
"""Key on a ``quantize`` node: signal to quantization noise of its tensor on calibration data, in decibel."""
HISTOGRAM = "integer_histogram"
"""Key on a ``quantize`` node: number of its integers in each part of the grid, on calibration data."""
