"""A lowered net on a GPU: inputs are moved there, and small batches of repeated shapes are replayed as one launch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from .launching.tuning import TileTable, using
from .on_host import OnHost
from .replay import Replays

MOVED, IN_FLOAT = "torch moves its bytes", "torch computes it in float"
"""Places of operators that only move values, and of those between integers that have no int8 form."""
ON_HOST = "; the exact reference computes it on the CPU"
"""The end of a place, behind the reason why an operator has no kernel."""


class CudaNet(nn.Module):
    """Runs a lowered graph; any batch size, several callers at once. Outputs stay on its device.

    Args:
        net: the net that :func:`lower` made with this engine's kernels.
        made_of: the QUANTIZED graph it was made of, and the function that makes this object from it; pickles of this
            object hold that graph.
        device: device that it computes on.
        placement: the kernel of each operation by its name, or why it has none.
        tiles: tiles measured on this card.

    Attributes:
        net: the lowered net, a graph of kernels.
    """

    def __init__(
        self,
        net: fx.GraphModule,
        made_of: tuple[fx.GraphModule, Callable[[fx.GraphModule], CudaNet]],
        device: torch.device,
        placement: Mapping[str, str],
        tiles: TileTable,
    ) -> None:
        super().__init__()
        self.net, self.device, self.tiles, self.placement = net, device, tiles, dict(placement)
        self._made_of = made_of  # a tuple: its parameters are not those of this module
        alone = not any(isinstance(module, OnHost) for module in net.modules())
        self.replays = Replays(net.forward) if device.type == "cuda" and alone else None
        self._run: Callable[..., Any] = torch.compiler.disable(self._untraced)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on operators without a kernel, calls that are not replayed, and faults in the file of tiles."""
        kernels = [f"{name}: {place}" for name, place in self.placement.items() if place.endswith(ON_HOST)]
        return (*kernels, *self.tiles.notes, *(self.replays.notes if self.replays else ()))

    def forward(self, *inputs: Any, **named: Any) -> Any:
        return self._run(*inputs, **named)

    @torch.no_grad()
    def _untraced(self, *inputs: Any, **named: Any) -> Any:
        inputs = tuple(self._there(x) for x in inputs)
        named = {name: self._there(x) for name, x in named.items()}
        known = len(self.tiles.tiles)
        is_gpu = self.device.type == "cuda"
        with using(self.tiles), torch.cuda.device(self.device) if is_gpu else contextlib.nullcontext():
            run = self.net.forward if self.replays is None or named else self.replays
            result = run(*inputs, **named)
        if len(self.tiles.tiles) > known:
            self.tiles.write()
        return result

    def _there(self, x: Any) -> Any:
        return x.to(self.device, non_blocking=True) if isinstance(x, Tensor) else x

    def __deepcopy__(self, memo: dict[int, Any]) -> CudaNet:
        graph, again = self._made_of
        return again(graph).train(self.training)

    def __reduce__(self) -> tuple[Any, ...]:
        graph, again = self._made_of
        return again, (graph,)
