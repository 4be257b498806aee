"""Labels every dimension of every tensor of a graph with the channel atoms along it.

The label of a dimension is an array of atoms, one for each index, or None if it is no channel dimension: batch, height,
width, tokens. Each operator of the vocabulary has a rule for the labels of its output. A convolution makes new atoms,
an add unites those of its inputs, a concatenation concatenates arrays, a slice slices them, a flatten repeats them. A
reshape that splits a dimension unites atoms, so that the result stays rectangular. An operator without a rule freezes
the channels it reads: a graph is never refused, but parts of it are not prunable, each with its reason.

Removing a channel means: **every sum over channels reads zero in its place** (convolution and linear layers along their
inputs, matrix products along the contracted dimension). The operators in between work on each channel alone, so the
other channels do not change, whatever these operators compute from zero (a sigmoid gives 0.5). So removing is exact if
there are only such operators; operators that mix channels otherwise (LayerNorm, softmax, a mean over channels) freeze
them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx

from ...graph.edit import operator_of
from ...graph.meta_keys import SHAPE
from ...graph.operator_table import VOCABULARY
from ...graph.operators import Operator, Trait
from ...graph.ownership import tensor_at
from ...graph.shapes import is_tensor, shape_of
from .atoms import AtomClasses, Atoms

Dim = Atoms | None
Labels = tuple[Dim, ...]
Rule = Callable[["Labelling", fx.Node], Labels]


class Rules(dict[str, Rule]):
    """Rules for the labels of operators, by the operator's name in the vocabulary."""

    def of(self, *operators: str) -> Callable[[Rule], Rule]:
        """Decorator for the rule of these operators."""

        def put(function: Rule) -> Rule:
            for name in operators:
                assert name not in self, name
                self[name] = function
            return function

        return put


@dataclass(frozen=True)
class Read:
    """A place where channels are summed over: ``node`` reads dimension ``axis`` of ``source``."""

    node: fx.Node
    source: fx.Node
    axis: int
    atoms: Atoms


def _no_rule(gm: fx.GraphModule, node: fx.Node) -> Rule | None:
    return None


@dataclass
class Labelling:
    """The labels of a graph, while rules write them and afterwards.

    Attributes:
        rules: rule of each operator, by its name.
        rule_outside: finds the rule of a node that calls no operator of the vocabulary; None without one.
        of: labels of every node whose value is one tensor.
        parts: labels that all tensors have which a node gives together, as ``max`` along a dimension does.
        parameters: atoms along (id of a parameter or buffer, axis); None if the axis cannot shrink.
        made: atoms of the output channels by path of a layer, in the order of their first call.
        reads: every place that sums over channels.
        whole_groups: nodes of grouped convolutions that lose groups, not channels of every group.
        through_layer_norm: whether LayerNorm may lose channels; see :mod:`fxpasses.pruning.channels.layer_norms`.
    """

    gm: fx.GraphModule
    rules: Mapping[str, Rule]
    rule_outside: Callable[[fx.GraphModule, fx.Node], Rule | None] = _no_rule
    through_layer_norm: bool = False
    classes: AtomClasses = field(default_factory=AtomClasses)
    of: dict[fx.Node, Labels] = field(default_factory=dict)
    parts: dict[fx.Node, Labels] = field(default_factory=dict)
    parameters: dict[tuple[int, int], Dim] = field(default_factory=dict)
    made: dict[str, Atoms] = field(default_factory=dict)
    reads: list[Read] = field(default_factory=list)
    whole_groups: set[fx.Node] = field(default_factory=set)

    def run(self) -> Labelling:
        """Label every node, in order."""
        for node in self.gm.graph.nodes:
            labels = self._label(node)
            shape = shape_of(node)
            if shape is None:
                continue
            assert len(labels) == len(shape), f"{node.name}: {len(labels)} labels for {shape}"
            for dim, size in zip(labels, shape, strict=True):
                assert dim is None or len(dim) == size, f"{node.name}: {len(dim)} atoms for {size}"
            self.of[node] = labels
        return self

    def _label(self, node: fx.Node) -> Labels:
        if node.op == "placeholder":
            return self.unlabelled(node)
        if node.op == "get_attr":
            return self._constant(node)
        if node.op == "output":
            return self.freeze_inputs(node, "is the output of the model")
        known = operator_of(self.gm, node) or _identity_of(self.gm, node)
        found = None if known is None else self.rules.get(known.name)
        if found is not None and shape_of(node) is not None and self._is_one_tensor(node.args[0]):
            return found(self, node)
        if known is not None and known.elementwise:
            return self.input(node)
        if is_unflatten(node) and shape_of(node) is not None:
            return self.rules["reshape"](self, node)
        if _only_reads_sizes(node):
            return ()
        whole = node.args[0] if node.target in (operator.getitem, getattr) else None
        if isinstance(whole, fx.Node) and whole in self.parts:
            return self.parts[whole]
        outside = self.rule_outside(self.gm, node) if found is None else None
        if outside is not None and node.args and self._is_one_tensor(node.args[0]):
            return self._of_each_part(node, outside(self, node))
        if shape_of(node) is None and SHAPE not in node.meta and not any(map(is_tensor, node.all_input_nodes)):
            return ()  # arithmetic with sizes
        name = known.name if known else _name(node)
        return self.freeze_inputs(node, f"({name}) may need every channel: no rule says how it treats them")

    def _of_each_part(self, node: fx.Node, labels: Labels) -> Labels:
        """Keep the labels for each tensor of a node that gives several; labels of the node itself."""
        if shape_of(node) is not None:
            return labels
        shapes = node.meta.get(SHAPE)
        if not isinstance(shapes, list) or any(shape is None or len(shape) != len(labels) for shape in shapes):
            return self.freeze_inputs(node, "gives tensors of different shapes")
        self.parts[node] = labels
        return ()

    def _is_one_tensor(self, argument: object) -> bool:
        return not isinstance(argument, fx.Node) or argument in self.of

    def _constant(self, node: fx.Node) -> Labels:
        """Labels of a parameter or buffer that is read; the operators that use it decide which
        dimensions are channels.
        """
        tensor = tensor_at(self.gm, str(node.target))
        if tensor is None or not tensor.is_floating_point():
            return self.unlabelled(node)
        return tuple(
            self.along(node, tensor, axis, None) if size > 1 else None for axis, size in enumerate(tensor.shape)
        )

    # -- used by rules ----------------------------------------------------------------------------------------------

    def unlabelled(self, node: fx.Node) -> Labels:
        return (None,) * len(shape_of(node) or ())

    def input(self, node: fx.Node, position: int = 0) -> Labels:
        """Labels of a node's tensor argument."""
        source = node.args[position]
        assert isinstance(source, fx.Node)
        return self.of[source]

    def freeze(self, node: fx.Node, why: str, *dims: Dim) -> None:
        for dim in dims:
            if dim is not None:
                self.classes.freeze(dim, node, why)

    def freeze_inputs(self, node: fx.Node, why: str) -> Labels:
        """Freeze all channels that a node reads; return labels without channels."""
        for source in node.all_input_nodes:
            self.freeze(node, why, *self.of.get(source, self.parts.get(source, ())))
        return self.unlabelled(node)

    def unite(self, node: fx.Node, first: Dim, second: Dim, what: str = "joins them with what is no channel") -> Dim:
        """Unite two dimensions that must stay alike; channels that meet another dimension are frozen."""
        if first is None or second is None:
            self.freeze(node, what, first, second)
            return None
        self.classes.unite(first, second)
        return first

    def along(self, node: fx.Node, parameter: Tensor, axis: int, dim: Dim) -> Dim:
        """Tie an axis of a parameter to a dimension; without one the axis gets its own atoms, the
        same at every call.
        """
        key = (id(parameter), axis)
        if key not in self.parameters:
            self.parameters[key] = self.classes.fresh(parameter.shape[axis]) if dim is None else dim
        elif dim is not None:
            self.parameters[key] = self.unite(node, self.parameters[key], dim)
        return self.parameters[key]

    def fix(self, node: fx.Node, parameter: Tensor, axis: int) -> None:
        """Mark an axis of a parameter that meets no channel dimension: it cannot shrink."""
        self.freeze(node, "reads it along a dimension of the input", self.parameters.get((id(parameter), axis)))
        self.parameters[id(parameter), axis] = None

    def tie(self, node: fx.Node, parameter: Tensor | None, axis: int, dim: Dim) -> None:
        """Make an axis of a parameter shrink as a dimension does, or not at all."""
        if parameter is None:
            return
        if dim is None:
            self.fix(node, parameter, axis)
        else:
            self.along(node, parameter, axis, dim)

    def reads_sum(self, node: fx.Node, source: object, axis: int, dim: Dim) -> None:
        if dim is not None and isinstance(source, fx.Node):
            self.reads.append(Read(node, source, axis, dim))


def is_unflatten(node: fx.Node) -> bool:
    """Whether a node is ``unflatten(x, dim, sizes)``, which splits one dimension; torch.export writes it into
    attention.
    """
    targets = (torch.unflatten, torch.ops.aten.unflatten.int)
    return (node.op == "call_method" and node.target == "unflatten") or node.target in targets


def _identity_of(gm: fx.GraphModule, node: fx.Node) -> Operator | None:
    """The identity operator; it has many spellings in a graph that was not fused, and no canonical one."""
    found = VOCABULARY.spelling(gm, node)
    return found[0] if found is not None and Trait.PASSES in found[0].traits and node.args else None


def _only_reads_sizes(node: fx.Node) -> bool:
    """Whether a node only reads sizes of a tensor, and its users select them by number."""
    if node.op == "call_method" and node.target in ("size", "dim"):
        return len(node.args) == 2 or all(_picks_one(u) for u in node.users)
    if node.target is getattr:
        return node.args[1] in ("device", "dtype", "ndim") or all(_picks_one(u) for u in node.users)
    return False


def _picks_one(user: fx.Node) -> bool:
    return user.target is operator.getitem and isinstance(user.args[1], int)


def _name(node: fx.Node) -> str:
    if node.op == "call_module":
        return f"module {node.target}"
    return str(getattr(node.target, "__name__", node.target))
