"""Converts models pruned with ``torch.nn.utils.prune``: their masks to ours, and the models to ones without hooks.

Its masked layers hold ``weight_orig`` and ``weight_mask`` and compute ``weight`` in a hook, which other tools do not
support. The paths of a model's modules are those of the graph that ``capture`` makes by tracing.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.utils import prune

from .masks import Masks

_SUFFIX = "_mask"


def masks_of_torch_prune(model: nn.Module) -> Masks:
    """Masks that ``torch.nn.utils.prune`` left on the weights of a model; masks of biases are left out."""
    buffers = dict(model.named_buffers())
    return Masks(
        {
            name.removesuffix(f".weight{_SUFFIX}"): mask != 0
            for name, mask in buffers.items()
            if name.endswith(f".weight{_SUFFIX}")
        }
    )


def without_torch_prune(model: nn.Module) -> nn.Module:
    """Return a copy with the same (sparse) weights as plain parameters, ready for ``capture``. The model is not
    changed.
    """
    with torch.no_grad():
        plain = _copied(model)
    for module in plain.modules():
        for name in [n.removesuffix(_SUFFIX) for n in module._buffers if n.endswith(_SUFFIX)]:
            if f"{name}_orig" in module._parameters:
                prune.remove(module, name)
    return plain


def _copied(model: nn.Module) -> nn.Module:
    """Deep copy of a model. A ``weight`` computed by a hook is replaced first, because deepcopy refuses tensors of
    autograd.
    """
    computed: dict[int, object] = {}
    for module in model.modules():
        for value in vars(module).values():
            if isinstance(value, torch.Tensor) and not value.is_leaf:
                computed[id(value)] = value.detach().clone()
    return copy.deepcopy(model, computed)
