"""Masks: flags of the weights that a graph keeps. They are data that can be read, combined, saved and applied.

A mask belongs to a layer, named by its path, and is a bool tensor, True for weights that are kept. It has the shape of
the weight, or ``[C_out]`` for whole output channels, and then covers the bias, too. Applying masks is exact: it sets
the other weights to zero in a copy of the graph. The copy is an ordinary graph and stores its masks, so that
:func:`reapply_masks` can restore the zeros after an optimizer step.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, fx, nn

from ...errors import InputError
from ...graph.pass_runner import copy_graph
from ...graph.stages import Stage, check_stage, graph_facts
from .layers import LAYERS, Layer, output_channels, prunable_layers, spread_over_weight, unknown_layer


class Masks(Mapping[str, Tensor]):
    """Layer path -> bool tensor, True = kept. ``a & b`` keeps weights that both keep, ``a | b`` those that either
    keeps.

    If only one of them has a mask for a layer, the other keeps the whole layer: ``&`` takes the mask, ``|`` drops it.

    Raises:
        InputError: a mask is not of dtype bool.
    """

    def __init__(self, masks: Mapping[str, Tensor] | None = None) -> None:
        self._masks = dict(masks or {})
        for path, mask in self._masks.items():
            if mask.dtype is not torch.bool:
                raise InputError(
                    f"mask of {path!r}", why=f"it is {mask.dtype}, not bool", fix="give True for kept: mask.bool()"
                )

    def __getitem__(self, path: str) -> Tensor:
        return self._masks[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._masks)

    def __len__(self) -> int:
        return len(self._masks)

    def __repr__(self) -> str:
        parts = (f"{path}: {100 * (1 - m.double().mean().item()):.1f} % of {list(m.shape)}" for path, m in self.items())
        return f"Masks({'; '.join(parts)})"

    def __and__(self, other: Masks) -> Masks:
        both = {path: _combined(path, self[path], other[path], torch.logical_and) for path in self if path in other}
        return Masks({**self, **other, **both})

    def __or__(self, other: Masks) -> Masks:
        return Masks(
            {path: _combined(path, self[path], other[path], torch.logical_or) for path in self if path in other}
        )

    @property
    def sparsity(self) -> float:
        """Share of masked entries in all entries of all masks."""
        total = sum(mask.numel() for mask in self.values())
        return sum(int((~mask).sum()) for mask in self.values()) / total if total else 0.0

    def save(self, path: str | Path) -> None:
        """Write a safetensors file; it is complete or not there."""
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        path = Path(path)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            save_file({name: mask.contiguous() for name, mask in self.items()}, beside, {"format": "fxpasses-masks"})
            beside.replace(path)
        except (OSError, SafetensorError) as error:
            raise InputError(f"cannot write masks to {path}", why=str(error), fix="name a file that can be") from error
        finally:
            beside.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | Path) -> Masks:
        """Read the file of :meth:`save`.

        Raises:
            InputError: there is no such file, it is not safetensors, or it does not hold masks.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return cls(load_file(path))
        except (OSError, SafetensorError) as error:
            why = str(error).partition("\n")[0]
            raise InputError(f"cannot read masks from {path}", why=why, fix="name a file Masks.save wrote") from error


def _combined(path: str, a: Tensor, b: Tensor, how: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    if a.shape != b.shape:
        raise InputError(
            f"masks of {path!r}",
            why=f"they have shapes {list(a.shape)} and {list(b.shape)}",
            fix="combine masks of one model and one granularity; apply_masks takes one after the other, too",
        )
    return how(a, b)


def apply_masks(gm: fx.GraphModule, masks: Mapping[str, Tensor]) -> fx.GraphModule:
    """Return a copy of a FLOAT graph whose masked weights are zero. The given graph is not changed.

    Masks of an earlier call stay in force: the copy stores both.

    Raises:
        GraphError: the graph is in another stage.
        InputError: a mask names no layer (the nearest is suggested), has another shape, or keeps nothing of a layer.
    """
    check_stage(gm, Stage.FLOAT, "apply_masks")
    check_masks(gm, masks)
    masked = copy_graph(gm)
    graph_facts(masked).masks = (*_remembered(gm), Masks(masks))
    reapply_masks(masked)
    return masked


def check_masks(gm: fx.GraphModule, masks: Mapping[str, Tensor]) -> None:
    """Raise InputError unless every mask fits a layer of the graph and keeps at least one weight."""
    layers = prunable_layers(gm)
    for path, mask in masks.items():
        if path not in layers:
            raise unknown_layer(path, layers)
        layer = layers[path]
        if mask.shape not in (layer.weight.shape, (output_channels(layer),)):
            raise InputError(
                f"mask of {path!r}",
                why=f"it has shape {list(mask.shape)}, the weight {list(layer.weight.shape)}",
                fix=f"give that, or [{output_channels(layer)}] for output channels",
            )
        if not bool(mask.any()):
            raise InputError(
                f"mask of {path!r}", why="it prunes everything: the layer would compute nothing", fix="keep something"
            )


def masks_of(gm: fx.GraphModule) -> Masks:
    """The masks stored in a graph, combined into those that keep what all of them keep; empty if there are none."""
    layers, together = prunable_layers(gm), Masks()
    for masks in _remembered(gm):
        mixed = {path for path in masks if path in together and together[path].shape != masks[path].shape}
        for path in mixed:
            weights = weight_mask(layers[path], masks[path]) & weight_mask(layers[path], together[path])
            together = Masks({**together, path: weights})
        together = together & Masks({path: mask for path, mask in masks.items() if path not in mixed})
    return together


def _remembered(gm: fx.GraphModule) -> tuple[Masks, ...]:
    return graph_facts(gm).masks


def reapply_masks(gm: fx.GraphModule) -> None:
    """Set the weights that the graph's masks prune to zero again, in ``gm`` itself, as is needed after an optimizer
    step.
    """
    with torch.no_grad():
        for path, mask in [pair for masks in _remembered(gm) for pair in masks.items()]:
            layer = gm.get_submodule(path)
            assert isinstance(layer, LAYERS)
            layer.weight.mul_(weight_mask(layer, mask).to(layer.weight))
            if mask.dim() == 1 and layer.bias is not None:
                layer.bias.mul_(mask.to(layer.bias))


def weight_mask(layer: Layer, mask: Tensor) -> Tensor:
    """Return a mask in the shape of the layer's weight, from either of the two shapes."""
    return spread_over_weight(layer, mask) if mask.dim() == 1 else mask


def replace_masks(gm: fx.GraphModule, masks: Masks) -> None:
    """Replace all masks stored in ``gm``, in place, as a schedule does between epochs.

    Weights that an earlier mask set to zero stay zero until training changes them.

    Raises:
        InputError: a mask does not fit the graph.
    """
    check_masks(gm, masks)
    graph_facts(gm).masks = (masks,)
    reapply_masks(gm)


def keep_masks(gm: fx.GraphModule, optimizer: torch.optim.Optimizer) -> torch.utils.hooks.RemovableHandle:
    """Reapply the graph's masks after every step of the optimizer, until the handle's ``remove()`` is called.

    Momentum cannot move a masked weight away from zero: the change of each step is reverted.
    """

    def restore(*_: object) -> None:
        reapply_masks(gm)

    return optimizer.register_step_post_hook(restore)


def make_permanent(gm: fx.GraphModule) -> fx.GraphModule:
    """Return a copy with the same zeros but without masks: its zeros are then weights like any other."""
    forgetful = copy_graph(gm)
    graph_facts(forgetful).masks = ()
    return forgetful


def zeros_as_masks(gm: fx.GraphModule) -> Masks:
    """Make masks that keep exactly the weights that are not zero now, for layers that have some zeros."""
    found: dict[str, nn.Module] = dict(prunable_layers(gm))
    masks = {path: module.get_parameter("weight").detach() != 0 for path, module in found.items()}
    return Masks({path: mask for path, mask in masks.items() if not bool(mask.all()) and bool(mask.any())})
