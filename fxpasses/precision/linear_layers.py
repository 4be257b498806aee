"""Replace the linear layers of a FLOAT graph by layers with integer weights, and log why other layers stay float."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import fx, nn

from ..errors import InputError
from ..graph.edit import add_module, module_of, operator_name, why_not_plain
from ..graph.pass_runner import PassResult, pass_logs, run_passes
from ..graph.stages import Stage, graph_facts, set_stage
from ..quantization.config import Override
from .lowered import finish

MADE = frozenset({"linear"})
"""Operators for which a step makes a module of its own, by its ``make``."""
LAYERS = (
    *(f"conv{d}d" for d in (1, 2, 3)),
    *(f"conv_transpose{d}d" for d in (1, 2, 3)),
    *("linear", "embedding", "attention", "recurrent"),
)
"""Operators with weight matrices, which are the candidates."""


@dataclass(frozen=True)
class Replacement:
    """The replacement for a kind of layer that is not linear.

    Attributes:
        make: creates the module with integer weights.
        why_not: reason for a call of such a layer to stay float, or None.
    """

    make: Callable[[nn.Module], nn.Module]
    why_not: Callable[[fx.GraphModule, fx.Node], str | None]


@dataclass(frozen=True)
class LowerLinear:
    """Pass that replaces every linear layer by ``make(layer)``.

    Attributes:
        make: creates the module with integer weights.
        what: description of the new layer, for the log.
        why_float: by operator, the reason for other layers to stay float.
        keep_float: patterns of layers that the caller wants in float.
        others: by operator, the replacements for layers that are not linear.
    """

    make: Callable[[nn.Linear], nn.Module]
    what: str
    why_float: Mapping[str, str]
    keep_float: tuple[str, ...] = ()
    others: Mapping[str, Replacement] = field(default_factory=dict)

    def __call__(self, gm: fx.GraphModule) -> PassResult:
        result, made = PassResult(), dict[int, str]()
        for node in list(gm.graph.nodes):
            operator = operator_name(gm, node) if node.op == "call_module" else None
            if operator not in LAYERS:
                continue
            why = self.why_not(gm, node, str(operator))
            if why:
                result.stay_float(node, why)
                continue
            layer = module_of(gm, node, nn.Module)
            if id(layer) not in made:
                made[id(layer)] = add_module(gm, f"{node.target}_integer", self._made(gm, node, str(operator)))
            node.target = made[id(layer)]
            result.change(node, self.what)
        gm.delete_all_unused_submodules()
        return result

    def why_not(self, gm: fx.GraphModule, node: fx.Node, operator: str) -> str | None:
        """Reason for a layer to stay float, or None."""
        for pattern in self.keep_float:
            if Override(pattern, keep_float=True).matches(gm, node):
                return f"asked for by {pattern!r}"
        if operator in self.others:
            return self.others[operator].why_not(gm, node)
        if operator not in MADE:
            return self.why_float.get(operator, "it is no linear layer")
        return why_not_plain(gm.get_submodule(str(node.target)))

    def _made(self, gm: fx.GraphModule, node: fx.Node, operator: str) -> nn.Module:
        if operator in self.others:
            return self.others[operator].make(module_of(gm, node, nn.Module))
        return self.make(module_of(gm, node, nn.Linear))


def lower_linear(gm: fx.GraphModule, step: LowerLinear, method: str, precision: str) -> fx.GraphModule:
    """Run the pass and make the graph LOWERED.

    Raises:
        InputError: the graph has no layer that can be replaced.
        GraphError: the graph is not FLOAT.
    """
    lowered = run_passes(gm, [step])
    result: PassResult = pass_logs(lowered)[-1].result
    if not result.changed:
        raise InputError(f'`method="{method}"`', why=_why_nothing(gm, result), fix="use static quantization, or fp16")
    graph_facts(lowered).precision = precision
    set_stage(lowered, Stage.LOWERED)
    return finish(lowered)


def _why_nothing(gm: fx.GraphModule, result: PassResult) -> str:
    nodes = {node.name: node for node in gm.graph.nodes}
    reasons = Counter((operator_name(gm, nodes[s.node]), s.why) for s in result.skipped)
    listed = "; ".join(f"{count} × {operator}: {why}" for (operator, why), count in reasons.most_common())
    return "the model has no layer it could quantize" + (f": {listed}" if listed else "")


def conv_reasons(why: str) -> dict[str, str]:
    """The same reason for all kinds of convolutions."""
    return {operator: why for operator in LAYERS if operator.startswith("conv")}


def other_reasons() -> dict[str, str]:
    """Reasons for layers that are neither convolutions nor linear to stay float, by operator."""
    return {
        "embedding": "its rows are looked up, not multiplied",
        "attention": "one opaque layer to the tracer; capture(method='export') opens it",
    }
