"""Remedies for a model that cannot be captured: keep a module whole, or capture only the part with the layers."""

from __future__ import annotations

from torch import nn

from ..graph.operator_table import VOCABULARY

_MEND = "make that line independent of tensor values"


def whole_module_remedy(name: str) -> str:
    """Remedy if a trace works with one module kept whole, and there are layers outside of it."""
    return f"{_MEND}, or keep its module whole, in float: capture(..., leaves=[{name!r}])"


def part_remedy(model: nn.Module) -> str:
    """Remedy if the model's own forward cannot be traced, as in whole detectors."""
    counts = {name: layers_in(child) for name, child in model.named_children()}
    largest = max(counts, key=lambda name: counts[name], default=None)
    if largest is None or not counts[largest]:
        return _MEND
    part = f"model.get_submodule({largest!r})"
    return f"{_MEND}, or capture the part that holds the layers, {part}, and call it from Python with the rest"


def layers_in(module: nn.Module) -> int:
    """Number of layers in a module for which int8 has kernels."""
    return sum(VOCABULARY.layer(m) is not None for m in module.modules())
