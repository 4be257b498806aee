"""The vocabulary of operators: the meaning of every spelling, and the int8 form of every operator.

``F.relu``, ``torch.relu``, ``nn.ReLU``, ``x.relu_()`` and ``aten.relu`` are one operator. An :class:`Operator` lists
its spellings, the canonical call that replaces them at capture, the treatment of its scale in int8, and its ONNX
operator types. docs/adding_an_operator.md tells how to add an operator: it begins with an entry of
:mod:`fxpasses.graph.operator_table`.

Canonical form of a graph: layers with parameters are ``call_module`` nodes; everything else is a ``call_function`` node
whose tensors are positional and whose settings are keywords.
"""

from __future__ import annotations

import operator as operator_module
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

Convert = Callable[[dict[str, Any]], "dict[str, Any] | None"]


class Scaling(Enum):
    """Treatment of the scale of an operator's output."""

    OWN = "computes new values: its output has a scale of its own"
    SHARED = "moves or selects values: its output has its input's scale"
    FIXED = "its range is known beforehand"
    FLOAT = "has no int8 form"


class Trait(Enum):
    """Properties of operators that steps depend on; the table says which operators have them."""

    ABSORBS = "takes a ReLU or clamp behind it into the saturation of its output"
    JOINS = "brings tensors of several scales to one"
    LIGHT = "computes so little that int8 pays by what reads it, or not at all"
    GIVES_FLOATS = "runtimes have kernels for it that take integers and give floats"
    RUNS_ON_INTEGERS = "runs on integers as it is, so that its settings may be values of the graph"
    KEEPS_CHANNELS = "positively homogeneous, and its output has the channels of its input"
    MIXES = "has no weight, and each of its results hangs on values of several parts"
    VIEWS = "its result may share the memory of its input"
    COMMUTES = "its two inputs may be swapped"
    BY_VALUE = "combines two tensors value by value"
    MULTIPLIES = "its result is one number times a product or an average of integers"
    AVERAGES = "gives averages over windows"
    REORDERS = "puts dimensions into another order"
    RESHAPES = "keeps values in their order, and gives them other dimensions"
    SPLITS = "gives several tensors"
    FILLS = "puts a constant around values"
    FLOAT_SUMS = "onnxruntime computes its sums in float, between integers, too"
    LOOKS_UP = "takes rows of a table, whose range is known"
    PASSES = "gives back its input at inference"
    NORMALIZES = "multiplies each channel by a number of its own, and adds one"
    TO_SIZE = "averages to a size of the output that its call names"
    MAXIMA = "gives maxima over windows"
    CONTRACTS = "sums products of two tensors"
    SIGNS = "gives -1 and 1 alone"
    OPAQUE = "one layer with products inside, which no step looks into"
    BINARY = "a layer that may be trained with weights of two or three levels"
    RESCALES = "a layer whose output channels may be multiplied by numbers through its weight and bias"


@dataclass(frozen=True)
class Spelling:
    """One way to write an operator.

    Attributes:
        target: a function, a module class, a method's name, or an ATen name such as ``"aten.relu"``.
        parameters: names of its positional parameters, in order; for a module class, attributes to read.
        rename: parameters of this spelling that have another name in the canonical form.
        fixed: settings implied by this spelling.
        variadic: whether the last parameter may be spread over the rest of the positional arguments.
        convert: rewrites the bound arguments if renaming is not enough; it returns None for a call without canonical
            form.
    """

    target: Any
    parameters: tuple[str, ...]
    rename: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    variadic: bool = False
    convert: Convert | None = None


@dataclass(frozen=True)
class Operator:
    """One operator of the vocabulary.

    Attributes:
        name: its name in logs and recipes.
        function: the canonical ``call_function`` target; None for layers, which stay modules.
        layers: module classes whose ``call_module`` nodes are this operator.
        tensors: number of leading positional arguments that are tensors.
        positional: names of positional arguments behind the tensors: the index of a slice.
        settings: names of the canonical keyword settings.
        required: settings that a call must have to be rewritten, because their default is not a single value.
        spellings: calls that are rewritten to the canonical call.
        scaling: see :class:`Scaling`.
        fixed_range: (low, high) of the output for ``Scaling.FIXED``.
        elementwise: whether each output value depends on one input value only, so that 256 int8 inputs describe it.
        weight_axis: output-channel axis of the weight, for layers with an int8 form.
        channel_axis: dimension of the channels in a layer's input and output.
        onnx: its operator types in ONNX, for the audit.
        why_float: the reason for logs if it has no int8 form.
        traits: properties that steps depend on.
        window_dims: number of dimensions at the end that its windows cover; None without windows.
        selects: whether a call only selects values, for operators of which only some calls do.
        refuses: returns the reason why a call has no int8 form, or None; for operators of which only some calls have
            one.
    """

    name: str
    function: Callable[..., Any] | None = None
    layers: tuple[type[nn.Module], ...] = ()
    tensors: int = 1
    positional: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    spellings: tuple[Spelling, ...] = ()
    scaling: Scaling = Scaling.FLOAT
    fixed_range: tuple[float, float] | None = None
    elementwise: bool = False
    weight_axis: int | None = None
    channel_axis: int = 1
    onnx: tuple[str, ...] = ()
    why_float: str = ""
    traits: frozenset[Trait] = frozenset()
    window_dims: int | None = None
    selects: Callable[[fx.Node], bool] | None = None
    refuses: Callable[[fx.Node], str | None] | None = None

    def __str__(self) -> str:
        return self.name

    @property
    def tensor_names(self) -> tuple[str, ...]:
        """Names under which spellings bind the leading tensors."""
        return ("input", "other", "third")[: self.tensors]


class Vocabulary:
    """All operators; each can be found by any of its spellings."""

    def __init__(self, operators: Iterable[Operator]) -> None:
        self.by_name: dict[str, Operator] = {}
        self._layers: dict[type[nn.Module], Operator] = {}
        self._spellings: dict[Any, tuple[Operator, Spelling]] = {}
        self._canonical: dict[Any, Operator] = {}
        for operator in operators:
            self.add(operator)

    def add(self, operator: Operator) -> None:
        """Add an operator; its name and each of its spellings must be new."""
        assert operator.name not in self.by_name, operator.name
        self.by_name[operator.name] = operator
        for layer in operator.layers:
            self._layers[layer] = operator
        for spelling in operator.spellings:
            owner, _ = self._spellings.setdefault(spelling.target, (operator, spelling))
            assert owner is operator, f"{spelling.target} spells both {owner} and {operator}"
        if operator.function is not None:
            self._canonical.setdefault(operator.function, operator)

    def __getitem__(self, name: str) -> Operator:
        return self.by_name[name]

    def layer(self, module: nn.Module) -> Operator | None:
        """The operator of a module with parameters; not of subclasses, which may override forward."""
        return self._layers.get(type(module))

    def spelling(self, gm: fx.GraphModule, node: fx.Node) -> tuple[Operator, Spelling] | None:
        """The operator and the spelling of a node of a traced graph."""
        if node.op == "call_module":
            return self._spellings.get(type(gm.get_submodule(str(node.target))))
        if node.op == "call_method":
            return self._spellings.get(f"Tensor.{node.target}")
        if node.target is getattr:
            return self._spellings.get(f"getattr.{node.args[1]}")
        if node.op == "call_function":
            return self._spellings.get(aten_name(node.target) or node.target) or self._spellings.get(
                f"{getattr(node.target, '__module__', '')}.{getattr(node.target, '__qualname__', '')}"
            )
        return None

    def spells(self, target: object) -> bool:
        """Whether a function or module class is a spelling of some operator."""
        return target in self._spellings

    def name_of_aten(self, name: str) -> str | None:
        """The operator that an ATen name such as ``"aten.add"`` spells; None outside the vocabulary."""
        found = self._spellings.get(name)
        return found[0].name if found is not None else None

    def operator(self, gm: fx.GraphModule, node: fx.Node) -> Operator | None:
        """The operator of a canonical node; None for anything outside the vocabulary."""
        if node.op == "call_module":
            return self.layer(gm.get_submodule(str(node.target)))
        if node.op == "call_function":
            operator = self._canonical.get(node.target)
            return operator if operator is not None and _is_canonical(node, operator) else None
        return None


def _is_canonical(node: fx.Node, operator: Operator) -> bool:
    """Whether a call of an operator's function has canonical form; a call with unknown settings has not."""
    if len(node.args) != operator.tensors + len(operator.positional):
        return False
    if not node.kwargs.keys() <= set(operator.settings):
        return False
    return not (operator.elementwise and any(isinstance(v, fx.Node) for v in node.kwargs.values()))


def aten_name(target: object) -> str | None:
    """``"aten.add"`` for any overload of an ATen operator, trailing ``_`` kept; None for anything else."""
    if isinstance(target, torch._ops.OpOverload):
        return f"{target.namespace}.{target._opname}"
    return None


_PLACES = (torch, F, operator_module, torch.special)


def torch_name(gm: fx.GraphModule, node: fx.Node) -> str | None:
    """PyTorch's name of the function or class that a node calls; None for functions and classes of others.

    ``torch.round``, ``Tensor.round`` and ``aten.round`` are "round"; a user's function of the same name is not.
    """
    target: Any = node.target
    if node.op == "call_method":
        return str(target) if hasattr(Tensor, str(target)) else None
    if node.op == "call_module":
        kind = type(gm.get_submodule(str(target)))
        return kind.__name__ if getattr(nn, kind.__name__, None) is kind else None
    if node.op != "call_function":
        return None
    if isinstance(target, torch._ops.OpOverload):
        return target._opname if target.namespace == "aten" else None
    name = str(getattr(target, "__name__", ""))
    if getattr(torch.linalg, name.removeprefix("linalg_"), None) is target:
        return name
    return name if any(getattr(place, name, None) is target for place in _PLACES) else None
