"""Definition of a pass, and the function that runs passes.

A pass is a callable ``GraphModule -> PassResult`` that edits the given graph. :func:`run_passes` copies the graph
first, so the caller's graph is not changed, and after each pass it lints, checks the stage and logs; after a pass that
changed something, and at the end, it recompiles.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from torch import fx

from ..errors import GraphError
from .stages import Stage, check_stage, graph_facts

_FOLDED = "folded into "


@dataclass(frozen=True)
class Change:
    """One change by a pass.

    Attributes:
        node: name of the changed node.
        what: description of the change.
        folded_into: name of the layer's node before it that absorbed this node; None for other changes.
        made: path of a layer created from the node; None for other changes.
    """

    node: str
    what: str
    folded_into: str | None = None
    made: str | None = None

    @staticmethod
    def of_text(node: str, text: str) -> Change:
        """The change described by a text in a file."""
        layer = text.removeprefix(_FOLDED)
        return Change(node, text, layer if layer != text and layer.isidentifier() else None)


_STAYS_FLOAT = "stays float: "


@dataclass(frozen=True)
class Skip:
    """One candidate that a pass did not change, and the reason.

    Attributes:
        stays_float: whether the node therefore computes in float, in a graph that is converted to int8.
    """

    node: str
    why: str
    stays_float: bool = False

    @property
    def text(self) -> str:
        """The reason as text for reports and files."""
        return f"{_STAYS_FLOAT}{self.why}" if self.stays_float else self.why

    @staticmethod
    def of_text(node: str, text: str) -> Skip:
        """The skip described by a text in a file."""
        return Skip(node, text.removeprefix(_STAYS_FLOAT), text.startswith(_STAYS_FLOAT))


@dataclass
class PassResult:
    """Every candidate a pass found: changed, or skipped with the reason."""

    changed: list[Change] = field(default_factory=list)
    skipped: list[Skip] = field(default_factory=list)

    def change(self, node: fx.Node, what: str, *, made: str | None = None) -> None:
        self.changed.append(Change(node.name, what, made=made))

    def fold(self, node: fx.Node, layer: fx.Node) -> None:
        """Record that ``layer`` has absorbed the node after it."""
        self.changed.append(Change(node.name, f"{_FOLDED}{layer.name}", layer.name))

    def skip(self, node: fx.Node, why: str) -> None:
        self.skipped.append(Skip(node.name, why))

    def stay_float(self, node: fx.Node, why: str) -> None:
        self.skipped.append(Skip(node.name, why, stays_float=True))


Pass = Callable[[fx.GraphModule], PassResult]


@dataclass(frozen=True)
class PassLog:
    """The result of one pass on one graph; it is not changed any more, so copies of the graph share it."""

    name: str
    result: PassResult

    def __deepcopy__(self, memo: object) -> PassLog:
        return self


def pass_name(graph_pass: Pass) -> str:
    """The name of a pass in logs and errors."""
    return getattr(graph_pass, "__name__", None) or type(graph_pass).__name__


def pass_logs(gm: fx.GraphModule) -> list[PassLog]:
    """The results of all passes on this graph, in order."""
    return graph_facts(gm).log


def run_passes(gm: fx.GraphModule, passes: Iterable[Pass], *, stage: Stage = Stage.FLOAT) -> fx.GraphModule:
    """Run passes over a copy of a graph and return the copy.

    Raises:
        GraphError: the graph is not in ``stage`` before or after a pass, a pass left it invalid, or a pass raised the
            error; the message names the pass and the passes before it.
    """
    check_stage(gm, stage, "run_passes")
    gm = copy_graph(gm)
    done: list[str] = []
    for graph_pass in passes:
        name = pass_name(graph_pass)
        step = f"pass {name}, after {', '.join(done) or 'nothing'}"
        result = _run(graph_pass, gm, step)
        _check(gm, name, step)
        if result.changed:
            gm.recompile()
        check_stage(gm, stage, name)
        pass_logs(gm).append(PassLog(name, result))
        done.append(name)
    gm.recompile()
    return gm


def copy_graph(gm: fx.GraphModule) -> fx.GraphModule:
    """A deep copy: parameters, buffers, nodes and facts are not shared with the original."""
    return copy.deepcopy(gm)


def _run(graph_pass: Pass, gm: fx.GraphModule, step: str) -> PassResult:
    try:
        return graph_pass(gm)
    except GraphError as error:
        if error.step:
            raise
        raise GraphError(error.what, why=error.why, fix=error.fix, at=error.at, step=step) from error


def _check(gm: fx.GraphModule, name: str, step: str) -> None:
    try:
        gm.graph.lint()
    except RuntimeError as error:
        raise GraphError(
            f"the graph after pass {name} is not valid",
            why=str(error).splitlines()[0],
            fix=f"mend {name}: change graphs through fxpasses.graph.edit",
            step=step,
        ) from error
