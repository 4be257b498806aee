"""For who already prunes with ``torch.nn.utils.prune``: its masks as ours, and its models without its hooks.

Its masked layers hold ``weight_orig`` and ``weight_mask`` and compute ``weight`` in a hook, which no other tool sees
through. The paths of a model's modules are the paths of the graph that ``capture`` makes of it by tracing.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.utils import prune

from .masks import Masks

_SUFFIX = "_mask"


def masks_of_torch_prune(model: nn.Module) -> Masks:
    """The masks that ``torch.nn.utils.prune`` left on the weights of a model; biases have none here."""
    buffers = dict(model.named_buffers())
    return Masks(
        {
            name.removesuffix(f".weight{_SUFFIX}"): mask != 0
            for name, mask in buffers.items()
            if name.endswith(f".weight{_SUFFIX}")
        }
    )


def without_torch_prune(model: nn.Module) -> nn.Module:
    """A copy with the same (sparse) weights as plain parameters, ready for ``capture``. The model is not touched."""
    with torch.no_grad():
        plain = _copied(model)
    for module in plain.modules():
        for name in [n.removesuffix(_SUFFIX) for n in module._buffers if n.endswith(_SUFFIX)]:
            if f"{name}_orig" in module._parameters:
                prune.remove(module, name)
    return plain


def _copied(model: nn.Module) -> nn.Module:
    """A deep copy; the ``weight`` its hooks computed last is no leaf of autograd, which deepcopy refuses."""
    computed: dict[int, object] = {}
    for module in model.modules():
        for value in vars(module).values():
            if isinstance(value, torch.Tensor) and not value.is_leaf:
                computed[id(value)] = value.detach().clone()
    return copy.deepcopy(model, computed)
