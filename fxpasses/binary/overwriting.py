"""BinaryConnect for any module and any training loop: weights are overwritten for a step, and put back.

    bc = BinaryConnect(model)
    for inputs, labels in batches:
        bc.binarization()
        loss = criterion(bc(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        bc.restore()
        optimizer.step()
        bc.clip()
    bc.binarization()            # what is tested and deployed

Every ``nn.Conv2d`` and ``nn.Linear``, the first and the last too, in the order of ``model.modules()``; no bias and no
BatchNorm. ``sign(0)`` is +1. It is what :func:`fxpasses.binary.binarize` makes of a graph, without the scaled steps
of the paper's code.
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
        """Keep the real weights."""
        for saved, weight in zip(self.saved_params, self.target_modules, strict=True):
            saved.copy_(weight)

    @torch.no_grad()
    def binarization(self) -> None:
        """Keep the real weights and put their signs in their place."""
        self.save_params()
        for weight in self.target_modules:
            weight.copy_(sign_of(weight))

    @torch.no_grad()
    def restore(self) -> None:
        """Put the real weights back."""
        for saved, weight in zip(self.saved_params, self.target_modules, strict=True):
            weight.copy_(saved)

    @torch.no_grad()
    def clip(self) -> None:
        """Bring the real weights into [-1, 1]."""
        for weight in self.target_modules:
            weight.clamp_(-1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The module's outputs, with the weights as they are now."""
        outputs: Tensor = self.model(x)
        return outputs
