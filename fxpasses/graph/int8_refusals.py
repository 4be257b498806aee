"""Reasons why certain calls of an operator have no int8 form, although other calls of it have one."""

from __future__ import annotations

from torch import fx

from .shapes import is_float_tensor, shape_of


def refuses_binary(node: fx.Node) -> str | None:
    """Reason why a sum or product of two tensors has no int8 form, or None."""
    if not all(isinstance(a, fx.Node) and shape_of(a) is not None for a in node.args):
        return "one operand is a number, not a tensor"
    if len([a for a in node.args if is_float_tensor(a)]) != 2:
        return "one operand is no float32 tensor"
    return "it adds a multiple of its second operand" if node.kwargs.get("alpha", 1) != 1 else None


def refuses_cat(node: fx.Node) -> str | None:
    """Reason why a concatenation has no int8 form, or None."""
    parts = node.args[0]
    known = isinstance(parts, (tuple, list)) and all(isinstance(p, fx.Node) and is_float_tensor(p) for p in parts)
    return None if known else "its parts are not one float32 tensor each"


def refuses_global_average(node: fx.Node) -> str | None:
    """Reason why an adaptive average pool has no int8 form, or None."""
    return "windows of different sizes have no int8 kernel" if (shape_of(node) or ())[2:] != (1, 1) else None


def refuses_average(node: fx.Node) -> str | None:
    """Reason why an average pool has no int8 form, or None."""
    if node.kwargs.get("divisor_override") is not None:
        return "it divides by a number of its own (divisor_override): no int8 kernel does"
    return None


def refuses_pad(node: fx.Node) -> str | None:
    """Reason why padding has no int8 form, or None."""
    if node.kwargs.get("mode", "constant") == "constant" and node.kwargs.get("value"):
        return "it pads with something else than zero"
    return None
