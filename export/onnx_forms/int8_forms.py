"""Rewrite an exported model in the forms that onnxruntime's int8 rules require. No rewrite changes results.

- every DequantizeLinear gets a zero_point input (Gemm's rule requires it);
- a mean over height and width becomes GlobalAveragePool (ReduceMean has no rule);
- a transposed int8 weight is stored transposed;
- a linear layer over tokens becomes a Gemm over rows (a MatMul's bias is added in float);
- zero padding moves onto the integers, padding with the zero_point (Pad has no rule);
- a pad of floats before QuantizeLinear becomes a pad of bytes after it (a quarter of the memory);
- a pool that rounds its size up gets PyTorch's windows (:mod:`.pools`);
- a softmax between integers is kept from becoming onnxruntime's QLinearSoftmax, which gives zeros for small scales;
- images of 3 channels get a fourth of zeros before the first convolution: onnxruntime's direct int8 convolution takes
  input channels by fours, and is faster than its other way by more than the padding costs.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from .edit import add_constant, is_8_bit, take_place
from .gemm import rows_to_gemm
from .own_weights import own_weights
from .pools import settle_pool
from .shared_weights import share_weights

_NAME = "fxpasses.name"
"""Key in a node's ``metadata_props`` of the name that its output will get."""


def settle_forms(model: ir.Model, *, shares_weights: bool = False) -> None:
    """Rewrite ``model`` in place; integer tensors get the names from :func:`mark_integers`.

    Args:
        shares_weights: whether layers may share a weight: the file needs no session option on any CPU.
    """
    for node in model.graph:
        if _NAME in node.metadata_props:
            node.outputs[0].name = node.metadata_props[_NAME]
    for node in list(model.graph):
        if node.op_type == "DequantizeLinear":
            _add_zero_point(model, node)
        elif node.op_type == "ReduceMean":
            _mean_to_pool(node)
        elif node.op_type == "Transpose":
            _store_transposed(model, node)
        elif node.op_type == "Pad":
            _pad_integers(model, node)
            _pad_behind_quantize(model, node)
        elif node.op_type == "MatMul":
            rows_to_gemm(model, node)
        elif node.op_type in ("AveragePool", "MaxPool"):
            settle_pool(model, node)
        elif node.op_type == "Softmax":
            _keep_softmax_float(model, node)
        elif node.op_type == "Conv":
            _pad_image_channels(model, node)
    if shares_weights:
        share_weights(model)
    else:
        own_weights(model)
    _drop_traces(model)
    _drop_unused(model)


def mark_integers(model: ir.Model, names: list[str]) -> None:
    """Mark the k-th QuantizeLinear of an inlined model with the name of the graph's k-th ``quantize`` node.

    Later the model may have fewer, since values computed from constants are folded.
    """
    nodes = [n for n in model.graph if n.op_type == "QuantizeLinear"]
    assert len(nodes) == len(names), f"{len(nodes)} QuantizeLinear for {len(names)} quantize nodes"
    for node, name in zip(nodes, names, strict=True):
        node.metadata_props[_NAME] = name


def _add_zero_point(model: ir.Model, node: ir.Node) -> None:
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        return
    q, scale = node.inputs[0], node.inputs[1]
    if q is None or q.const_value is None or scale is None or scale.const_value is None:
        return
    zeros = np.zeros(scale.const_value.shape.numpy(), dtype=q.const_value.dtype.numpy())
    node.resize_inputs(3)
    node.replace_input_with(2, add_constant(model, f"{node.outputs[0].name}_zero_point", zeros))


def _mean_to_pool(node: ir.Node) -> None:
    source, axes = node.inputs[0], node.inputs[1] if len(node.inputs) > 1 else None
    if source is None or axes is None or axes.const_value is None or source.shape is None or len(source.shape) != 4:
        return
    dims = sorted(int(d) % 4 for d in axes.const_value.numpy().tolist())
    if dims != [2, 3] or node.attributes.get_int("keepdims", 1) != 1:
        return
    pool = ir.node("GlobalAveragePool", [source], name=node.name)
    take_place(node, pool)


def _store_transposed(model: ir.Model, node: ir.Node) -> None:
    """Replace ``Transpose(DequantizeLinear(w))`` of a constant matrix by a transposed ``w`` with its axis changed."""
    value = node.inputs[0]
    dequantize = value.producer() if value is not None else None
    if dequantize is None or dequantize.op_type != "DequantizeLinear":
        return
    weight = dequantize.inputs[0]
    if weight is None or weight.const_value is None or len(weight.const_value.shape) != 2:
        return
    name = f"{weight.name}_transposed"
    stored = model.graph.initializers.get(name) or add_constant(
        model, name, np.ascontiguousarray(weight.const_value.numpy().T)
    )
    axis = dequantize.attributes.get_int("axis", 1)
    new = ir.node("DequantizeLinear", [stored, *dequantize.inputs[1:]], {"axis": 1 - axis}, name=f"{node.name}_weight")
    take_place(node, new)
    _add_zero_point(model, new)


def _pad_integers(model: ir.Model, node: ir.Node) -> None:
    """Pad integers with zero_point in ``DequantizeLinear -> Pad with 0 -> QuantizeLinear`` with equal parameters."""
    before = node.inputs[0].producer() if node.inputs[0] is not None else None
    uses = list(node.outputs[0].uses())
    after = uses[0].node if len(uses) == 1 else None
    if before is None or after is None or (before.op_type, after.op_type) != ("DequantizeLinear", "QuantizeLinear"):
        return
    zero_point = before.inputs[2]
    if not is_8_bit(zero_point) or node.attributes.get_string("mode", "constant") != "constant":
        return
    if not _is_zero(node.inputs[2] if len(node.inputs) > 2 else None) or not _one_grid(before, after):
        return
    rest = node.inputs[3:]
    pad = ir.node("Pad", [before.inputs[0], node.inputs[1], zero_point, *rest], {"mode": "constant"}, name=node.name)
    take_place(after, pad)


def _is_zero(value: ir.Value | None) -> bool:
    """Whether the value with which a Pad pads (zero by default) is zero."""
    return value is None or (value.const_value is not None and not value.const_value.numpy().any())


def _one_grid(before: ir.Node, after: ir.Node) -> bool:
    """Whether a DequantizeLinear and a QuantizeLinear have equal scales and zero points."""
    pairs = zip(before.inputs[1:3], after.inputs[1:3], strict=True)
    known = [(a.const_value, b.const_value) for a, b in pairs if a is not None and b is not None]
    return all(a is not None and b is not None and np.array_equal(a.numpy(), b.numpy()) for a, b in known)


def _pad_behind_quantize(model: ir.Model, node: ir.Node) -> None:
    """Rewrite ``Pad with v [-> Reshape] -> QuantizeLinear`` of floats: quantize, then pad with the integer of v."""
    after = _only_user(node)
    reshape = after if after is not None and after.op_type == "Reshape" else None
    after = after if reshape is None else _only_user(reshape)
    if after is None or after.op_type != "QuantizeLinear" or _is_dequantized(node.inputs[0]):
        return
    integer = _quantized_constant(node.inputs[2] if len(node.inputs) > 2 else None, after)
    if integer is None or node.attributes.get_string("mode", "constant") != "constant":
        return
    quantize = ir.node("QuantizeLinear", [node.inputs[0], *after.inputs[1:]], after.attributes)
    quantize.outputs[0].name = f"{after.outputs[0].name}_unpadded"
    model.graph.insert_before(after, quantize)
    value = add_constant(model, f"{after.outputs[0].name}_padding", integer)
    inputs = [quantize.outputs[0], node.inputs[1], value, *node.inputs[3:]]
    pad = ir.node("Pad", inputs, {"mode": "constant"}, name=node.name)
    if reshape is None:
        take_place(after, pad)
        return
    pad.outputs[0].name = f"{after.outputs[0].name}_padded"
    model.graph.insert_before(after, pad)
    take_place(after, ir.node("Reshape", [pad.outputs[0], reshape.inputs[1]], name=reshape.name))


def _only_user(node: ir.Node) -> ir.Node | None:
    """The node that is the only reader of a node's output."""
    uses = list(node.outputs[0].uses())
    return uses[0].node if len(uses) == 1 else None


def _quantized_constant(value: ir.Value | None, quantize: ir.Node) -> np.ndarray | None:
    """The byte that a QuantizeLinear computes from a constant; None if it is unknown or no byte."""
    constants = [v.const_value if v is not None else None for v in (value, *quantize.inputs[1:3])]
    found = [c.numpy() for c in constants if c is not None]
    if len(found) != 3 or not is_8_bit(quantize.inputs[2]):
        return None
    number, scale, zero_point = found
    limits = np.iinfo(zero_point.dtype)
    steps = np.rint(number.astype(np.float32) / scale) + zero_point
    byte: np.ndarray = steps.clip(limits.min, limits.max).astype(zero_point.dtype)
    return byte


_MOVES = frozenset("Reshape Transpose Squeeze Unsqueeze Flatten Slice Split Gather Expand Concat".split())
"""Operators through which onnxruntime moves Q and DQ nodes."""


def _keep_softmax_float(model: ir.Model, node: ir.Node) -> None:
    """Put an operator between DequantizeLinear and Softmax, since otherwise onnxruntime makes a QLinearSoftmax of them.

    QLinearSoftmax of onnxruntime 1.31 gave all zeros for attention over 49 tokens at a scale of 1/10617: it rounds ``1
    / scale`` to a whole number, and its sums seem to overflow. The maximum of a value and minus infinity is the value,
    and no optimizer removes it.
    """
    if not _is_dequantized(node.inputs[0]):
        return
    lowest = add_constant(model, f"{node.name}_lowest", np.array(-np.inf, dtype=np.float32))
    logits = ir.node("Max", [node.inputs[0], lowest], name=f"{node.name}_logits")
    logits.outputs[0].name = f"{node.name}_logits_float"
    model.graph.insert_before(node, logits)
    node.replace_input_with(0, logits.outputs[0])


def _is_dequantized(value: ir.Value | None) -> bool:
    """Whether a value comes from integers, possibly through operators that only move values."""
    node = value.producer() if value is not None else None
    while node is not None and node.op_type in _MOVES:
        node = node.inputs[0].producer() if node.inputs[0] is not None else None
    return node is not None and node.op_type == "DequantizeLinear"


_CHANNEL_BLOCK = 4


def _pad_image_channels(model: ir.Model, node: ir.Node) -> None:
    """Round the channels of a quantized graph input up to a multiple of four, with zero weights."""
    x, w = (v.producer() if v is not None else None for v in node.inputs[:2])
    if x is None or w is None or (x.op_type, w.op_type) != ("DequantizeLinear", "DequantizeLinear"):
        return
    image, weight = x.inputs[0], w.inputs[0]
    quantize = image.producer() if image is not None else None
    source = quantize.inputs[0] if quantize is not None else None
    if weight is None or weight.const_value is None or source is None or source not in model.graph.inputs:
        return
    if not is_8_bit(x.inputs[2]):
        return
    integers = weight.const_value.numpy()
    missing = -integers.shape[1] % _CHANNEL_BLOCK
    if not missing or node.attributes.get_int("group", 1) != 1:
        return
    rank = integers.ndim
    widened = np.pad(integers, [(0, missing) if d == 1 else (0, 0) for d in range(rank)])
    pads = np.array([missing if d == rank + 1 else 0 for d in range(2 * rank)], dtype=np.int64)
    channels = add_constant(model, f"{node.name}_channels", pads)
    pad = ir.node("Pad", [image, channels, x.inputs[2]], name=f"{node.name}_pad")
    padded = ir.node("DequantizeLinear", [pad.outputs[0], *x.inputs[1:]], name=f"{node.name}_image")
    name = f"{weight.name}_padded"  # the layer may be called twice, on two images
    wide = model.graph.initializers.get(name) or add_constant(model, name, widened)
    weights = ir.node("DequantizeLinear", [wide, *w.inputs[1:]], dict(w.attributes), name=f"{node.name}_weight")
    pad.outputs[0].name = f"{node.name}_image_int8"
    padded.outputs[0].name, weights.outputs[0].name = f"{node.name}_image_float", f"{node.name}_weight_float"
    model.graph.insert_before(node, [pad, padded, weights])
    node.replace_input_with(0, padded.outputs[0])
    node.replace_input_with(1, weights.outputs[0])
    _add_zero_point(model, weights)


def _drop_traces(model: ir.Model) -> None:
    """Remove the exporter's notes on every node: stack traces may be larger than the model, and contain paths."""
    for item in (*model.graph, *model.graph.inputs, *model.graph.initializers.values()):
        item.metadata_props.clear()
        if isinstance(item, ir.Node):
            item.doc_string = None
            for output in item.outputs:
                output.metadata_props.clear()
    model.graph.metadata_props.clear()


def _drop_unused(model: ir.Model) -> None:
    """Remove nodes and initializers without readers."""
    RemoveUnusedNodesPass()(model)
