"""Passes that replace layers of a FLOAT graph by binary or ternary ones, and inputs by signs, before it is trained.

| method | weights | inputs | first and last layer |
|---|---|---|---|
| ``binaryconnect`` | ``sign(w)`` | real | binary |
| ``binaryconnect-stochastic`` | drawn in training, ``sign(w)`` at test time | real | binary |
| ``bwn`` | ``mean |w| * sign(w)`` | real | float |
| ``xnor`` | ``mean |w| * sign(w)`` | signs | float |
| ``twn`` | ``alpha * {-1, 0, +1}`` | real | ternary |
| ``bireal`` | ``mean |w| * sign(w)``, ReActNet's gradient | signs, Bi-Real Net's gradient | float |

Stochastic BinaryConnect is deployed with ``sign(w)``, too. The authors' code tests it with real weights, so the
published 8.27 % on CIFAR-10 is no result of a binary network. XNOR-Net's scales of inputs (K) are left out, as its
authors' code does. For ``xnor`` and ``bireal`` a model is written with ``F.hardtanh`` where a sign will be, which is
its float twin, too: the pass turns it into ``fxpasses::sign`` where nothing but binary layers read it. Not exact: the
graph is another function, to be trained.
"""

from __future__ import annotations

from torch import fx, nn

from ..errors import InputError
from ..graph import binary_ops as ops
from ..graph.edit import clip_bounds, has_trait, insert_call, operator_name, replace_node, why_not_replaceable
from ..graph.operators import Trait
from ..graph.pass_runner import PassResult, run_passes
from .layers import LatentConv2d, LatentLinear, LatentRule, latent_twin

_RULES = {
    "binaryconnect": LatentRule("sign"),
    "binaryconnect-stochastic": LatentRule("stochastic"),
    "bwn": LatentRule("scaled", centred=True),
    "xnor": LatentRule("scaled", centred=True),
    "twn": LatentRule("ternary", clipped=False),
    "bireal": LatentRule("scaled", gradient="clamp", clipped=False),
}
METHODS = tuple(_RULES)
_KEEPS_ENDS = frozenset({"bwn", "xnor", "bireal"})
_SIGNS = {"xnor": False, "bireal": True}
"""Methods whose inputs are signs; True if the gradient of these is the smooth one."""


def binarize(
    gm: fx.GraphModule, method: str, *, rule: LatentRule | None = None, keep_ends: bool | None = None
) -> fx.GraphModule:
    """Return a copy of the graph with binary layers, to be trained.

    Args:
        gm: a FLOAT graph with its BatchNorm in it: captured, not fused.
        method: one of :data:`METHODS`.
        rule: rule for weights, instead of the method's.
        keep_ends: whether the first and the last layer stay float; None: the method decides.

    Raises:
        InputError: there is no such method.
        GraphError: the graph is not FLOAT.
    """
    if method not in _RULES:
        raise InputError(f"method {method!r}", why="there is no such method", fix=f"use one of {', '.join(METHODS)}")
    keeps = method in _KEEPS_ENDS if keep_ends is None else keep_ends
    weights = BinarizeWeights(rule or _RULES[method], keep_ends=keeps, keep_pointwise=method == "bireal")
    if method not in _SIGNS:
        return run_passes(gm, [weights])
    return run_passes(gm, [weights, BinarizeInputs(smooth=_SIGNS[method])])


class BinarizeWeights:
    """Pass that gives convolutions and linear layers a real weight to train and a binary one to compute with."""

    def __init__(self, rule: LatentRule, *, keep_ends: bool, keep_pointwise: bool = False) -> None:
        self.rule, self.keep_ends, self.keep_pointwise = rule, keep_ends, keep_pointwise
        self.__name__ = "binarize_weights"

    def __call__(self, gm: fx.GraphModule) -> PassResult:
        """Apply the pass."""
        result = PassResult()
        layers = [node for node in gm.graph.nodes if has_trait(gm, node, Trait.BINARY)]
        for node in layers:
            if self.keep_ends and node in (layers[0], layers[-1]):
                result.skip(node, f"the {'first' if node is layers[0] else 'last'} layer stays float")
                continue
            layer = gm.get_submodule(str(node.target))
            assert isinstance(layer, (nn.Conv2d, nn.Linear))
            why = self._why_not(gm, node, layer)
            if why:
                result.skip(node, why)
                continue
            gm.set_submodule(str(node.target), latent_twin(layer, self.rule))
            result.change(node, f"computes with {self.rule.weights} weights")
        return result

    def _why_not(self, gm: fx.GraphModule, node: fx.Node, layer: nn.Conv2d | nn.Linear) -> str | None:
        if self.keep_pointwise and isinstance(layer, nn.Conv2d) and tuple(layer.kernel_size) == (1, 1):
            return "1x1 convolutions of shortcuts stay float"
        return why_not_replaceable(gm, node)


class BinarizeInputs:
    """Pass that turns each clamp to [-1, 1] that only binary layers read into a sign."""

    def __init__(self, *, smooth: bool) -> None:
        self.smooth = smooth
        self.__name__ = "binarize_inputs"

    def __call__(self, gm: fx.GraphModule) -> PassResult:
        """Apply the pass."""
        result = PassResult()
        for node in list(gm.graph.nodes):
            if clip_bounds(gm, node) != (-1.0, 1.0):
                continue
            other = next((reader.name for reader in node.users if not _is_binary(gm, reader)), None)
            if other is not None or not node.users:
                result.skip(node, f"{other or 'nobody'} reads it, which is no binary layer")
                continue
            result.change(node, "is a sign")
            settings = {"smooth": True} if self.smooth else {}
            replace_node(gm, node, insert_call(gm, node, ops.sign, node.args[0], like=node, **settings))
        return result


_MOVES = frozenset("flatten reshape pad".split())


def _is_binary(gm: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node is a binary layer, or only moves values to some."""
    if node.op == "call_module":
        return isinstance(gm.get_submodule(str(node.target)), (LatentConv2d, LatentLinear))
    if operator_name(gm, node) in _MOVES:
        return bool(node.users) and all(_is_binary(gm, reader) for reader in node.users)
    return False
