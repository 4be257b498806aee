"""Last step of every lowering to another precision: run the graph once, so that a missing kernel is found early."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from ..errors import GraphError
from ..graph.meta_keys import DTYPE, SHAPE
from ..graph.stages import graph_facts
from ..signature.examples import examples_of, with_tensors


def finish(gm: fx.GraphModule) -> fx.GraphModule:
    """Recompile a lowered graph and record the shapes and dtypes of its tensors.

    Raises:
        GraphError: torch cannot compute one of its nodes in its precision.
    """
    gm.graph.lint()
    gm.recompile()
    with torch.no_grad():
        _Checked(gm).run(*with_tensors(examples_of(gm), lambda spec: torch.zeros(spec[0], dtype=spec[1])))
    return gm.eval()


def first_overflow(gm: fx.GraphModule, inputs: tuple[Any, ...]) -> fx.Node | None:
    """The first node with a value that is not finite for these inputs; None if all values are finite."""
    watch = _Watch(gm)
    with torch.no_grad():
        watch.run(*inputs)
    return watch.found


class _Checked(fx.Interpreter):
    def run_node(self, n: fx.Node) -> Any:
        try:
            result = super().run_node(n)
        except RuntimeError as error:
            precision = graph_facts(self.module).precision  # type: ignore[arg-type]  # what was lowered is a graph
            raise GraphError.at_node(
                n,
                why=f"torch does not compute it in {precision}: {str(error).splitlines()[0]}",
                fix=f'leave it in float, `keep_float=["{n.name}"]`, or choose another precision',
            ) from error
        if isinstance(result, Tensor):
            n.meta[SHAPE], n.meta[DTYPE] = tuple(result.shape), result.dtype
        return result


class _Watch(fx.Interpreter):
    found: fx.Node | None = None

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if self.found is None and isinstance(result, Tensor) and result.is_floating_point():
            self.found = None if bool(torch.isfinite(result).all()) else n
        return result
