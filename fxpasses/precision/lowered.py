"""Last step of every lowering to another precision: run the graph once, so that a missing kernel is found early."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from ..errors import GraphError
from ..graph.meta_keys import DTYPE, SHAPE
from ..graph.stages import graph_facts
from ..signature.examples import examples_of, with_tensors


class NoKernelError(GraphError):
    """torch cannot compute a node in its precision.

    Attributes:
        node: name of the node.
    """

    node: str

    @classmethod
    def of(cls, node: fx.Node, precision: object, error: RuntimeError) -> NoKernelError:
        made = cls.at_node(
            node,
            why=f"torch does not compute it in {precision}: {str(error).splitlines()[0]}",
            fix="choose another precision",
        )
        assert isinstance(made, NoKernelError)
        made.node = node.name
        return made


def finish(gm: fx.GraphModule) -> fx.GraphModule:
    """Recompile a lowered graph and record the shapes and dtypes of its tensors.

    Raises:
        NoKernelError: torch cannot compute one of its nodes in its precision.
    """
    gm.graph.lint()
    gm.recompile()
    with torch.no_grad():
        _Checked(gm).run(*with_tensors(examples_of(gm), lambda spec: torch.zeros(spec[0], dtype=spec[1])))
    return gm.eval()


def first_overflow(gm: fx.GraphModule, original: fx.GraphModule, inputs: tuple[Any, ...]) -> fx.Node | None:
    """The first node with a value that is not finite where the original's is; None if there is none.

    A mask of -inf is -inf in both graphs. Nodes that the original does not have may hand on such a value, not make one.
    """
    expected, found = _Infinities(original), _Infinities(gm)
    with torch.no_grad():
        expected.run(*inputs)
        found.run(*inputs)
    return next((node for node in gm.graph.nodes if found.are_new_at(node, expected)), None)


class _Checked(fx.Interpreter):
    def run_node(self, n: fx.Node) -> Any:
        try:
            result = super().run_node(n)
        except RuntimeError as error:
            precision = graph_facts(self.module).precision  # type: ignore[arg-type]  # what was lowered is a graph
            raise NoKernelError.of(n, precision, error) from error
        if isinstance(result, Tensor):
            n.meta[SHAPE], n.meta[DTYPE] = tuple(result.shape), result.dtype
        return result


class _Infinities(fx.Interpreter):
    """Runs a graph and keeps where its values are not finite, by the name of the node; nodes of finite values are left
    out.
    """

    def __init__(self, gm: fx.GraphModule) -> None:
        super().__init__(gm)
        self.names = {node.name for node in gm.graph.nodes}
        self.at: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor) and result.is_floating_point():
            infinite = ~torch.isfinite(result)
            if bool(infinite.any()):
                self.at[n.name] = infinite
        return result

    def are_new_at(self, node: fx.Node, original: _Infinities) -> bool:
        """Whether the node has a value that is not finite, of which neither the original nor an input is the reason."""
        found = self.at.get(node.name)
        if found is None:
            return False
        if node.name not in original.names:
            return not any(source.name in self.at for source in node.all_input_nodes)
        expected = original.at.get(node.name)
        return expected is None or expected.shape != found.shape or bool((found & ~expected).any())
