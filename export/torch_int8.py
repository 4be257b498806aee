"""The function ``to_torch``: a QUANTIZED graph as an ``nn.Module`` of int8 kernels."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial

import torch
from torch import fx, nn

from fxpasses.errors import InputError
from fxpasses.graph.devices import named_device
from fxpasses.graph.graph_module import AGAIN
from fxpasses.graph.stages import Stage, check_stage, config_of

from .engines.replace_calls import lower
from .wide_activations import has_wide_activations, wide_engine


def to_torch(
    gm: fx.GraphModule,
    engine: str | None = None,
    *,
    autotune: bool = False,
    device: str | torch.device | None = None,
) -> nn.Module:
    """Lower a QUANTIZED graph to int8 kernels.

    Args:
        gm: a QUANTIZED graph. It is not changed.
        engine: ``"x86"`` (oneDNN), ``"cuda"`` (Triton, on an NVIDIA GPU), ``"reference"`` (exact integer arithmetic,
            slow) or ``"plain"`` (the graph itself, in float between its quantize nodes). Default: ``"cuda"`` where
            ``device`` is a GPU; else the CPU engine of the graph's target; with activations of 16 bits, which it has
            no kernels for, ``"plain"``.
        autotune: where ``"x86"`` has two kernels for the same integers, measure them on this machine, with the threads
            set now and the batch the graph was captured with, and take the faster; remembered for the process. Of
            ``"cuda"``, measure tiles at the first call of each shape, and remember them in a file.
        device: where to compute. Default: the GPU for ``"cuda"``, the CPU for all others.

    Returns:
        A module in eval mode, for any batch size, any number of threads and several callers at once. With ``"x86"`` it
        keeps packed weights for two frequent input shapes, its pickles contain ``gm``, and ``torch.compile`` does not
        change it.

    Raises:
        GraphError: the graph is not QUANTIZED.
        InputError: there is no such engine, it has no kernels for 16 bits, or none to choose from with ``autotune``;
            or it does not compute on ``device``, or that is not there.
    """
    check_stage(gm, Stage.QUANTIZED, "to_torch")
    wide, place = has_wide_activations(gm), None if device is None else named_device(device)
    by_place = "cuda" if place is not None and place.type == "cuda" else None
    name = wide_engine(engine) if wide else engine or by_place or _ENGINE_OF_TARGET[config_of(gm).target]
    if name not in _ENGINES:
        near = difflib.get_close_matches(name, _ENGINES, n=1)
        raise InputError(
            f"engine {name!r}",
            why="there is no engine of that name",
            fix=f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(_ENGINES)}",
        )
    if autotune and name not in _TUNABLE:
        raise InputError(
            f"autotune for engine {name!r}",
            why="it has one kernel for each operation",
            fix=f"leave autotune out, or use engine={_TUNABLE[0]!r}",
        )
    if name == "cuda":
        return _cuda(gm, place, autotune)
    if place is not None and place.type != "cpu":
        raise InputError(
            f"engine {name!r} on device {str(place)!r}",
            why="it computes on the CPU",
            fix="leave device out, or use engine='cuda'" if not wide else "leave device out",
        )
    return _tuned(gm) if autotune else _ENGINES[name](gm)


def _cuda(gm: fx.GraphModule, device: torch.device | None, autotune: bool) -> nn.Module:
    from .engines.cuda.readiness import require_kernels

    place = device or torch.device("cuda")
    require_kernels(place)  # before anything that imports Triton
    from .engines.cuda.engine import to_cuda

    return to_cuda(gm, place, autotune=autotune)


def _x86(gm: fx.GraphModule) -> nn.Module:
    from .engines.x86.engine import to_x86

    return to_x86(gm)


def _tuned(gm: fx.GraphModule) -> nn.Module:
    from .engines.x86.engine import to_x86

    return to_x86(gm, autotune=True)


def _reference(gm: fx.GraphModule) -> nn.Module:
    from .engines.reference import reference_kernel

    net = lower(gm, reference_kernel)
    net.meta[AGAIN] = partial(_reference, gm)
    return net


def _plain(gm: fx.GraphModule) -> nn.Module:
    return gm


_TUNABLE = ("x86", "cuda")
_ENGINES: dict[str, Callable[[fx.GraphModule], nn.Module]] = {
    "x86": _x86,
    "cuda": partial(_cuda, device=None, autotune=False),
    "reference": _reference,
    "plain": _plain,
}
_ENGINE_OF_TARGET = {"x86": "x86", "x86-avx2": "x86", "arm": "x86", "cuda": "reference"}
"""On the CPU, where a model made for GPUs is computed exactly and slowly."""
