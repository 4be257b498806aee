"""Models pruned with torch.nn.utils.prune are converted with their masks."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import prune

import fxpasses as fx
from fxpasses.pruning import apply_masks, masks_of_torch_prune, without_torch_prune


def masked_model() -> nn.Module:
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 9, 4))
    prune.l1_unstructured(model[0], "weight", 0.5)
    prune.ln_structured(model[3], "weight", 0.25, n=2, dim=0)
    model(torch.randn(1, 3, 5, 5))
    return model.eval()


def test_masks_come_over() -> None:
    model = masked_model()
    masks = masks_of_torch_prune(model)
    assert set(masks) == {"0", "3"}
    assert torch.equal(masks["0"], model[0].weight_mask != 0)  # type: ignore[index]


def test_the_model_without_hooks_is_captured_and_masked_again() -> None:
    model, x = masked_model(), torch.randn(2, 3, 5, 5)
    plain = without_torch_prune(model)
    assert [name for name, _ in plain.named_buffers()] == []
    assert torch.equal(plain(x), model(x))
    assert hasattr(model[0], "weight_orig"), "the model handed in keeps its hooks"  # type: ignore[index]
    graph = apply_masks(fx.capture(plain, x), masks_of_torch_prune(model))
    assert torch.equal(graph(x), model(x))
