"""An exponential moving average of parameters; its rounded values oscillate less than the last ones do."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ParameterAverage:
    """Moving average of parameters: ``average = decay * average + (1 - decay) * parameter``, starting with their
    values.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values: dict[str, Tensor] = {n: p.detach().clone() for n, p in module.named_parameters()}

    def update(self, module: nn.Module) -> None:
        """Add the parameters after a step."""
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                self.values[name].lerp_(parameter.detach(), 1 - self.decay)

    def put_into(self, module: nn.Module) -> None:
        """Set the parameters to their averages."""
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                parameter.copy_(self.values[name])
