"""BinaryConnect for any module and any training loop: weights are overwritten for a step, and then restored.

    bc = BinaryConnect(model)
    for inputs, labels in batches:
        bc.binarization()
        loss = criterion(bc(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        bc.restore()
        optimizer.step()
        bc.clip()
    bc.binarization()            # weights to test and deploy

It applies to every ``nn.Conv2d`` and ``nn.Linear``, including the first and the last, in the order of
``model.modules()``, but to no bias and no BatchNorm. ``sign(0)`` is +1. The weights are those of
:func:`fxpasses.binary.binarize`, without the scaled steps of the paper's code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..graph.binary_ops import sign_of


class BinaryConnect(nn.Module):
    """A module whose weights are binary while it computes gradients.

    Attributes:
        model: the module; ``bc.model = bc.model.to(device)`` moves it.
        target_modules: the weights that become binary.
        saved_params: their real values, as of the last :meth:`save_params`.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.target_modules = [m.weight for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
        self.saved_params = [weight.detach().clone() for weight in self.target_modules]

    @torch.no_grad()
    def save_params(self) -> None:
        """Store the real weights."""
        for saved, weight in zip(self.saved_params, self.target_modules, strict=True):
            saved.copy_(weight)

    @torch.no_grad()
    def binarization(self) -> None:
        """Store the real weights and replace them by their signs."""
        self.save_params()
        for weight in self.target_modules:
            weight.copy_(sign_of(weight))

    @torch.no_grad()
    def restore(self) -> None:
        """Restore the real weights."""
        for saved, weight in zip(self.saved_params, self.target_modules, strict=True):
            weight.copy_(saved)

    @torch.no_grad()
    def clip(self) -> None:
        """Clamp the real weights to [-1, 1]."""
        for weight in self.target_modules:
            weight.clamp_(-1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the module's outputs, with its current weights."""
        outputs: Tensor = self.model(x)
        return outputs
