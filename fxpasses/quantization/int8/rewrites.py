"""Passes that rewrite float operators without an int8 kernel as operators that have one.

They run at the start of :func:`~fxpasses.quantization.int8.observe.observe`; a float graph gains nothing from them.
"""

from __future__ import annotations

import torch
from torch import fx, nn

from ...graph.edit import add_module, is_floating_point, only_reader, operator_name, replace_node
from ...graph.meta_keys import DTYPE
from ...graph.pass_runner import Pass, PassResult
from ...graph.shapes import carried_meta, shape_of
from ...passes.batch_norm import affine_of, batch_norm_of, why_not_affine
from ..config import QuantConfig


def batch_norm_to_conv(gm: fx.GraphModule) -> PassResult:
    """Rewrite a BatchNorm that no layer could absorb as an equivalent depthwise 1x1 convolution.

    ``y = a*x + b`` per channel is a grouped convolution with one 1x1 weight for each channel. Equal up to rounding.
    """
    result = PassResult()
    for node in list(gm.graph.nodes):
        if operator_name(gm, node) != "batch_norm":
            continue
        shape = shape_of(node) or ()
        why = why_not_affine(gm, node)
        if why is None and len(shape) != 4:
            why = f"its input has {len(shape)} dimensions, a 2d convolution needs 4"
        if why:
            result.skip(node, why)
            continue
        bn = batch_norm_of(gm, node)
        assert bn.running_mean is not None
        affine, dtype = affine_of(bn), bn.running_mean.dtype
        conv = nn.utils.skip_init(nn.Conv2d, shape[1], shape[1], 1, groups=shape[1]).eval()
        conv.weight = nn.Parameter(affine.factor.to(dtype).reshape(-1, 1, 1, 1))
        conv.bias = nn.Parameter(affine.shift.to(dtype))
        made = add_module(gm, f"{node.target}_as_conv", conv)
        result.change(node, "is a depthwise 1x1 convolution", made=made)
        _call_instead(gm, node, made, node.all_input_nodes[0])
    return result


def channel_pad_to_conv(gm: fx.GraphModule) -> PassResult:
    """Rewrite ``pad(x[:, :, ::s, ::s])`` on channels (He et al. 2015, shortcut option A) as a 1x1 convolution.

    The weights are 0 and 1, the stride is ``s``. No runtime pads channels in int8, all have an int8 convolution. Exact.
    """
    result = PassResult()
    for node in list(gm.graph.nodes):
        if operator_name(gm, node) != "pad":
            continue
        why = _why_not_channel_pad(node)
        if why:
            result.skip(node, why)
            continue
        source, stride = _strided_source(gm, node)
        before, after = _sizes(node.kwargs.get("pad"))[4:]
        channels, padded = (shape_of(source) or ())[1], node.all_input_nodes[0]
        weight = torch.zeros(channels + before + after, channels, 1, 1, dtype=node.meta[DTYPE])
        weight[before : before + channels, :, 0, 0] = torch.eye(channels)
        conv = nn.utils.skip_init(nn.Conv2d, channels, channels + before + after, 1, stride=stride, bias=False).eval()
        conv.weight = nn.Parameter(weight)
        taken_in = padded is not source and only_reader(padded) is node
        with_slice = f", with {padded.name}" if taken_in else ""
        made = add_module(gm, f"{node.name}_as_conv", conv)
        result.change(node, f"is a 1x1 convolution of stride {stride}{with_slice}", made=made)
        _call_instead(gm, node, made, source)
        if taken_in:
            gm.graph.erase_node(padded)
    return result


def _why_not_channel_pad(node: fx.Node) -> str | None:
    pad, settings = _sizes(node.kwargs.get("pad")), node.kwargs
    if settings.get("mode", "constant") != "constant" or settings.get("value"):
        return "it pads with something else than zero"
    if not pad:
        return "it pads by sizes that are computed"
    if len(pad) != 6 or any(pad[:4]) or len(shape_of(node) or ()) != 4:
        return "it pads other dimensions than the channels"
    if any(p < 0 for p in pad):
        return "it crops"
    return None if is_floating_point(node) else "its values are integers"


def _sizes(value: object) -> list[int]:
    """The integers of a tuple or list of integers; empty for any other value."""
    numbers = [v for v in value if isinstance(v, int)] if isinstance(value, (tuple, list)) else []
    return numbers if isinstance(value, (tuple, list)) and len(numbers) == len(value) else []


def _strided_source(gm: fx.GraphModule, node: fx.Node) -> tuple[fx.Node, tuple[int, int]]:
    """The tensor before a strided slice of height and width and the strides; without such a slice, the node's input."""
    source = node.args[0]
    assert isinstance(source, fx.Node)
    index = source.args[1] if operator_name(gm, source) == "slice" else None
    whole = slice(None)
    if isinstance(index, tuple) and len(index) == 4 and index[:2] == (whole, whole):
        whole_ones = [i for i in index[2:] if isinstance(i, slice) and i.start in (None, 0) and i.stop is None]
        steps = [i.step or 1 for i in whole_ones]
        inner = source.args[0]
        if len(steps) == 2 and all(isinstance(s, int) and s > 0 for s in steps) and isinstance(inner, fx.Node):
            return inner, (steps[0], steps[1])
    return source, (1, 1)


def _call_instead(gm: fx.GraphModule, node: fx.Node, path: str, source: fx.Node) -> None:
    with gm.graph.inserting_before(node):
        new = gm.graph.call_module(path, (source,))
    new.meta = carried_meta(node)
    replace_node(gm, node, new)
    gm.delete_all_unused_submodules()


def split_silu(gm: fx.GraphModule, config: QuantConfig | None = None) -> PassResult:
    """Rewrite ``silu(x)`` as ``x * sigmoid(x)``, which is equal: onnxruntime has an int8 product, and no int8 SiLU.

    The product gets the node's name. If an override keeps the operator ``silu`` in float, the node is not rewritten.
    """
    result = PassResult()
    stays_float = config is not None and config.keeps_operator_float("silu")
    for node in list(gm.graph.nodes):
        if operator_name(gm, node) != "silu":
            continue
        if stays_float:
            result.skip(node, "it stays float")
            continue
        result.change(node, "is a product with its sigmoid")
        name, source = node.name, node.all_input_nodes[0]
        with gm.graph.inserting_before(node):
            gate = gm.graph.create_node("call_function", torch.sigmoid, (source,), name=f"{name}_sigmoid")
            product = gm.graph.call_function(torch.mul, (source, gate))
        gate.meta, product.meta = carried_meta(node), carried_meta(node)
        replace_node(gm, node, product)
        product.name = name
    return result


def lowering(config: QuantConfig) -> tuple[Pass, ...]:
    """The passes of :data:`LOWERING`, with the overrides of these settings."""

    def silu(gm: fx.GraphModule) -> PassResult:
        return split_silu(gm, config)

    silu.__name__ = "split_silu"
    return (*LOWERING[:-1], silu)


LOWERING: tuple[Pass, ...] = (batch_norm_to_conv, channel_pad_to_conv, split_silu)
"""The passes that :func:`~fxpasses.quantization.int8.observe.observe` runs first, in order."""
