"""Layers that show which two weights of a row an int8 kernel adds in 16 bits: all weights but two are zero.

Output k of such a layer has weights 127 at the k-th pair of places. On inputs of 255 its sum is 64770; a kernel that
adds just these two products in 16 bits gives 32767.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper
from torch import Tensor

from fxpasses.export.engines import quint8

_STEP = 512.0
"""Scale of the outputs: 64770 is 126.5 steps, 32767 is 64."""
_SATURATED = 100


def pair_weights(channels: int, kernel: tuple[int, ...]) -> Tensor:
    """Weights int8 ``[pairs, channels, *kernel]``."""
    row = channels * math.prod(kernel)
    pairs = list(itertools.combinations(range(row), 2))
    weight = torch.zeros(len(pairs), row, dtype=torch.int8)
    for output, places in enumerate(pairs):
        weight[output, list(places)] = 127
    return weight.reshape(len(pairs), channels, *kernel)


def saturated_in_torch(weight: Tensor, engine: str, size: int, groups: int = 1) -> set[int]:
    """Outputs whose sums saturate in an engine of torch, on an input of so many positions in each dimension."""
    dims = weight.dim() - 2
    with quint8.packing_for(engine):
        quantized = _per_channel(weight)
        if dims == 0:
            packed = torch.ops.quantized.linear_prepack(quantized, None)
        else:
            pack = getattr(torch.ops.quantized, f"conv{dims}d_prepack")
            packed = pack(quantized, None, [1] * dims, [0] * dims, [1] * dims, groups)
        shape = (1, weight.shape[1] * groups, *[size] * dims)
        x = torch.quantize_per_tensor(torch.full(shape, 255.0), 1.0, 0, torch.quint8)
    if dims == 2:
        x = x.contiguous(memory_format=torch.channels_last)
    operator = torch.ops.quantized.linear if dims == 0 else getattr(torch.ops.quantized, f"conv{dims}d").new
    return _saturated(operator(x, packed, _STEP, 0).int_repr())


def saturated_in_onnxruntime(weight: Tensor, size: int, groups: int = 1, *, exact: bool = False) -> set[int]:
    """Outputs whose sums saturate in onnxruntime; ``exact`` sets the session option against it."""
    dims, outputs = weight.dim() - 2, len(weight)
    shape = [1, weight.shape[1] * groups, *[size] * dims]
    held = [
        helper.make_tensor("w", TensorProto.INT8, list(weight.shape), weight.numpy().tobytes(), raw=True),
        helper.make_tensor("ws", TensorProto.FLOAT, [outputs], [1.0] * outputs),
        helper.make_tensor("wz", TensorProto.INT8, [outputs], [0] * outputs),
        helper.make_tensor("s", TensorProto.FLOAT, [], [1.0]),
        helper.make_tensor("z", TensorProto.UINT8, [], [0]),
        helper.make_tensor("ys", TensorProto.FLOAT, [], [_STEP]),
    ]
    if dims:
        node = helper.make_node("QLinearConv", ["x", "s", "z", "w", "ws", "wz", "ys", "z"], ["y"], group=groups)
    else:
        names = ["x", "s", "z", "w", "ws", "wz", "", "ys", "z"]
        node = helper.make_node("QGemm", names, ["y"], domain="com.microsoft", transB=1)
    inputs = [helper.make_tensor_value_info("x", TensorProto.UINT8, shape)]
    results = [helper.make_tensor_value_info("y", TensorProto.UINT8, None)]
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    graph = helper.make_graph([node], "pairs", inputs, results, held)
    model = helper.make_model(graph, opset_imports=imports, ir_version=9)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if exact:
        options.add_session_config_entry("session.x64quantprecision", "1")
    content = onnx.ModelProto.SerializeToString(model)
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": np.full(shape, 255, np.uint8)})
    return _saturated(torch.from_numpy(found))


def _saturated(found: Tensor) -> set[int]:
    rows = found.transpose(0, 1).flatten(1)
    return set((rows < _SATURATED).any(1).nonzero().flatten().tolist())


def _per_channel(weight: Tensor) -> Tensor:
    ones, zeros = torch.ones(len(weight), dtype=torch.float64), torch.zeros(len(weight), dtype=torch.int64)
    return torch._make_per_channel_quantized_tensor(weight, ones, zeros, 0)


LAYERS = [
    (4, (), 0, False),
    (5, (), 0, False),
    (16, (1, 1), 7, False),
    (5, (1, 1), 4, False),
    (4, (3, 3), 6, False),
    (3, (3, 3), 6, False),
    (1, (5, 5), 8, False),
    (4, (3,), 9, False),
    (2, (2, 2, 2), 4, False),
    (1, (3, 3), 6, True),
    (1, (5, 5), 8, True),
    (1, (3,), 9, True),
]
"""Layers: input channels, kernel, size of the input, and whether it is depthwise (one input channel
for each output).
"""
