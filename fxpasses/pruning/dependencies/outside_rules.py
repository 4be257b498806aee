"""Rules of PyTorch's functions and modules outside the vocabulary: they have no int8 form, but channels pass them.

They are found by the name that PyTorch gives them, in whatever spelling: ``torch.round``, ``Tensor.round`` and
``aten.round`` are "round". A user's function of the same name is none of them. See :mod:`.labels`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import fx, nn

from ...graph.meta_keys import SHAPE
from ...graph.operators import torch_name
from ...graph.shapes import is_tensor, shape_of
from .labels import Labelling, Labels, Rule, Rules
from .product_rules import Sized, axes_of, broadcast, with_shape

RULES = Rules()
"""Rules of this file, by PyTorch's name of the function or class."""

_EACH = (
    "abs absolute acos asin asinh atan bfloat16 bitwise_not ceil celu clone contiguous cos cosh deg2rad detach double "
    "erf erfc exp exp2 expm1 fix float floor frac half hardshrink invert isfinite isinf isnan log log10 log1p log2 "
    "logical_not logit logsigmoid nan_to_num neg negative positive rad2deg reciprocal round rsqrt sgn sign sin sinc "
    "sinh softshrink sqrt square tan tanhshrink threshold to _to_copy trunc type "
    "CELU Hardshrink LogSigmoid Softshrink Tanhshrink Threshold"
).split()
_TOGETHER = (
    "__and__ __or__ __xor__ add addcdiv addcmul and_ atan2 bitwise_and bitwise_or bitwise_xor clamp clip div eq "
    "expand_as floor_divide floordiv fmax fmin fmod ge greater greater_equal gt hypot le lerp less less_equal "
    "logical_and logical_or logical_xor lt masked_fill maximum minimum mod mul ne not_equal or_ pow remainder rsub sub "
    "true_divide truediv where xor"
).split()
_SPACE = (
    "adaptive_avg_pool1d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d avg_pool1d "
    "avg_pool3d grid_sample grid_sampler grid_sampler_2d lp_pool1d lp_pool2d lp_pool3d "
    "AdaptiveAvgPool1d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d AvgPool1d AvgPool3d "
    "LPPool1d LPPool2d LPPool3d"
).split()
_REDUCE = (
    "all amax amin aminmax any argmax argmin linalg_vector_norm logsumexp max median min norm prod std std_mean sum "
    "var var_mean"
).split()


def rule_outside(gm: fx.GraphModule, node: fx.Node) -> Rule | None:
    """The rule of a node that calls a function or a module of PyTorch; None if there is none."""
    return RULES.get(torch_name(gm, node) or "")


@RULES.of(*_EACH)
def _each(state: Labelling, node: fx.Node) -> Labels:
    """Labels of a function of each value alone."""
    return state.input(node)


@RULES.of(*_TOGETHER)
def _together(state: Labelling, node: fx.Node) -> Labels:
    """Labels of a function of the values at one place of several tensors, which are broadcast."""
    sizes: Sized = [(None, 1)] * len(shape_of(node) or ())
    for argument in (*node.args, *node.kwargs.values()):
        if isinstance(argument, fx.Node) and is_tensor(argument):
            part = with_shape(state, argument)
            labels = broadcast(state, node, sizes, part)
            padded: Sized = [(None, 1)] * (len(sizes) - len(part)) + part
            sizes = [(dim, max(a[1], b[1])) for dim, a, b in zip(labels, sizes, padded, strict=True)]
    return tuple(dim for dim, _ in sizes)


@RULES.of(*_SPACE)
def _space(state: Labelling, node: fx.Node) -> Labels:
    """Labels of a pool or of a sampling of ``[N, C, ...]`` in space."""
    given = state.input(node)
    for source in node.all_input_nodes:
        labels = state.of.get(source, ())
        state.freeze(node, "takes values along this dimension", *(labels[2:] if source is node.args[0] else labels))
    return (*given[:2], *(None,) * (len(given) - 2))


@RULES.of(*_REDUCE)
def _reduce(state: Labelling, node: fx.Node) -> Labels:
    """Labels of a reduction whose dimensions are not channels."""
    if torch_name(state.gm, node) in _ALSO_TOGETHER and len([n for n in node.all_input_nodes if is_tensor(n)]) > 1:
        return _together(state, node)
    given = state.input(node)
    dim = _setting(node, "dim", _PLACE_OF_DIM.get(torch_name(state.gm, node) or "", 1))
    if dim is None or isinstance(dim, (float, bool)):
        return state.freeze_inputs(node, "reduces all dimensions at once")
    reduced = axes_of(dim, len(given))
    for axis in reduced:
        state.freeze(node, "reduces over them", given[axis])
    shape: Any = node.meta.get(SHAPE) or ()
    kept_dims = len(shape[0] if isinstance(shape, list) else shape) == len(given)
    if kept_dims:
        return tuple(None if axis in reduced else dim for axis, dim in enumerate(given))
    return tuple(dim for axis, dim in enumerate(given) if axis not in reduced)


_ALSO_TOGETHER = frozenset({"max", "min"})
"""Reductions that are functions of two tensors if they are given two."""

_PLACE_OF_DIM = {"norm": 2, "linalg_vector_norm": 2}
"""Position of the argument ``dim`` where it is not 1."""


def _setting(node: fx.Node, name: str, position: int) -> Any:
    return node.kwargs.get(name, node.args[position] if position < len(node.args) else None)


@RULES.of("glu", "GLU")
def _glu(state: Labelling, node: fx.Node) -> Labels:
    """Labels of a gated linear unit: the i-th channels of both halves go together."""
    given = list(state.input(node))
    module = state.gm.get_submodule(str(node.target)) if node.op == "call_module" else None
    dim = module.dim if isinstance(module, nn.GLU) else _setting(node, "dim", 1)
    (axis,) = axes_of(-1 if dim is None else dim, len(given))
    halved = given[axis]
    if halved is not None:
        halves = halved.reshape(2, -1)
        state.classes.unite(halves, np.broadcast_to(halves[:1], halves.shape))
        given[axis] = halves[0].copy()
    return tuple(given)


@RULES.of("normalize")
def _normalize(state: Labelling, node: fx.Node) -> Labels:
    given, dim = state.input(node), _setting(node, "dim", 2)
    for axis in axes_of(1 if dim is None else dim, len(given)):
        state.freeze(node, "normalises over them", given[axis])
    return given


@RULES.of("rms_norm", "RMSNorm")
def _rms_norm(state: Labelling, node: fx.Node) -> Labels:
    return state.freeze_inputs(node, "normalises over them")
