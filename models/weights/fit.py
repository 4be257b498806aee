"""Checks whether a state dict fits a module, on a copy without storage, before the first value is copied."""

from __future__ import annotations

import copy
from collections import OrderedDict

import torch
from torch import Tensor, nn

NAMES_SHOWN = 3


def why_not_loadable(module: nn.Module, state: OrderedDict[str, Tensor]) -> str | None:
    """Reason why the state dict does not load strictly, in words; None if it fits."""
    own = module.state_dict()
    wrong = [
        f"{name} is {list(state[name].shape)}, the model has {list(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if wrong:
        return f"{len(wrong)} of {len(own)} weights have another shape: {first_of(wrong)}"
    # The trial load goes through torch's own hooks, which rename keys of older files (ViT, BatchNorm counters).
    try:
        outcome = _skeleton(module).load_state_dict(state, strict=False, assign=True)
    except RuntimeError as error:  # a hook of the module fails on the file's version
        return str(error).partition("\n")[0]
    missing = [name for name in outcome.missing_keys if not name.endswith("num_batches_tracked")]
    complaints = []
    if missing:
        complaints.append(f"{len(missing)} of {len(own)} weights are missing from the file: {first_of(missing)}")
    if outcome.unexpected_keys:
        names = first_of(list(outcome.unexpected_keys))
        complaints.append(f"{len(outcome.unexpected_keys)} weights in the file are unknown to the model: {names}")
    broken = [name for name, value in state.items() if value.is_floating_point() and not bool(value.isfinite().all())]
    if broken:
        complaints.append(f"{len(broken)} weights hold NaN or infinity: {first_of(broken)}")
    return "; ".join(complaints) or None


def _skeleton(module: nn.Module) -> nn.Module:
    """Copy of a module without storage: all tensors are on the meta device."""
    empty: dict[int, object] = {}
    for parameter in module.parameters():
        empty[id(parameter)] = nn.Parameter(torch.empty_like(parameter, device="meta"), parameter.requires_grad)
    for buffer in module.buffers():
        empty[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(module, empty)


def first_of(names: list[str]) -> str:
    """The first few of many names, as text."""
    rest = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
