"""The function ``to_torch``: a QUANTIZED graph as an ``nn.Module`` of int8 kernels."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial

from torch import fx, nn

from fxpasses.errors import InputError
from fxpasses.graph.graph_module import AGAIN
from fxpasses.graph.stages import Stage, check_stage, config_of

from .engines.replace_calls import lower
from .wide_activations import has_wide_activations, wide_engine


def to_torch(gm: fx.GraphModule, engine: str | None = None, *, autotune: bool = False) -> nn.Module:
    """Lower a QUANTIZED graph to int8 kernels.

    Args:
        gm: a QUANTIZED graph. It is not changed.
        engine: ``"x86"`` (oneDNN), ``"reference"`` (exact integer arithmetic, slow) or ``"plain"`` (the graph itself,
            in float between its quantize nodes). Default: the engine of the graph's target; ``"plain"`` for 16-bit
            activations, for which that engine has no kernels.
        autotune: if ``"x86"`` has two kernels for the same integers, measure both on this machine, with the present
            number of threads and the batch size of capture, and use the faster one; results are remembered in the
            process.

    Returns:
        A module in eval mode, for any batch size, any number of threads and several callers at once. With ``"x86"`` it
        keeps packed weights for two frequent input shapes, its pickles contain ``gm``, and ``torch.compile`` does not
        change it.

    Raises:
        GraphError: the graph is not QUANTIZED.
        InputError: the engine is unknown, has no kernels for 16 bits, or has no alternatives for ``autotune``.
    """
    check_stage(gm, Stage.QUANTIZED, "to_torch")
    wide = has_wide_activations(gm)
    name = wide_engine(engine) if wide else engine or _ENGINE_OF_TARGET[config_of(gm).target]
    if name not in _ENGINES:
        near = difflib.get_close_matches(name, _ENGINES, n=1)
        raise InputError(
            f"engine {name!r}",
            why="there is no engine of that name",
            fix=f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(_ENGINES)}",
        )
    if autotune and name != _TUNABLE:
        raise InputError(
            f"autotune for engine {name!r}",
            why="it has one kernel for each operation",
            fix=f"leave autotune out, or use engine={_TUNABLE!r}",
        )
    return _tuned(gm) if autotune else _ENGINES[name](gm)


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


_TUNABLE = "x86"
_ENGINES: dict[str, Callable[[fx.GraphModule], nn.Module]] = {"x86": _x86, "reference": _reference, "plain": _plain}
_ENGINE_OF_TARGET = {"x86": "x86", "x86-avx2": "x86", "arm": "x86", "cuda": "reference"}
