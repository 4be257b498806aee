"""Recognise activations that a model writes out in arithmetic, and call them by their name.

``x * relu6(x + 3) / 6`` is a hardswish, ``0.5 * x * (1 + erf(x / sqrt(2)))`` a GELU. Written out, each of their steps
is an operator of its own, and in int8 most are rounded. What a chain of steps computes is found by its values, not by
its form: a function of one number is computed on a grid of numbers, and compared with the known activations.
Equal up to float rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor, fx

from ..graph.edit import BOUNDS, erase_unread, insert_call, is_floating_point, operator_name, replace_node
from ..graph.operator_table import VOCABULARY
from ..graph.operators import torch_name
from ..graph.ownership import drop_unread_tensors, tensor_at
from ..graph.pass_runner import PassResult
from ..graph.shapes import shape_of

_STEPS = frozenset(
    "abs absolute add clamp clamp_max clamp_min clip div divide elu erf erfc exp expit ge gt hardsigmoid hardswish "
    "hardtanh le leaky_relu log1p log_sigmoid logsigmoid lt max maximum min minimum mul multiply neg negative pow "
    "reciprocal relu relu6 rsub sigmoid softplus softsign sqrt square sub subtract tanh threshold true_divide truediv "
    "where".split()
)
"""PyTorch's names of functions of each value alone, of which activations are made."""
_MOST_STEPS = 16
_NEAR = torch.arange(-160, 161).double() / 20
_FAR = torch.tensor([10, 20, 40, 100, 1e3, 1e4, 1e5, 1e6]).double()
_GRID = torch.cat([_NEAR, -_FAR, _FAR])
"""Numbers on which functions are compared, float64: a clamp may have bounds far out."""
_MINUS_ONE = 140
"""Place of -1 among them."""
_CLOSE = 3e-7
"""Largest difference from a known activation, relative and absolute: that of constants which are float32 numbers."""


@dataclass(frozen=True)
class Activation:
    """A known activation: ``f(scale * x) / scale`` for a function ``f`` of the vocabulary.

    Attributes:
        name: name of the operator.
        settings: its settings.
        scale: 1 for all but the fast GELU of CLIP, ``x * sigmoid(1.702 * x)``, which is a SiLU with a scale.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    scale: float = 1.0

    @property
    def function(self) -> Callable[..., Any]:
        function = VOCABULARY[self.name].function
        assert function is not None
        return function

    @property
    def values(self) -> Tensor:
        """Values on the grid."""
        found: Tensor = self.function(self.scale * _GRID, **self.settings) / self.scale
        return found


_FIXED = (
    *map(Activation, "relu hardswish hardsigmoid sigmoid tanh silu gelu mish".split()),
    Activation("gelu", {"approximate": "tanh"}),
)
"""Activations without settings that could be any number."""


@dataclass(frozen=True)
class WrittenFunction:
    """Steps that compute a function of the values of one tensor.

    Attributes:
        source: the tensor.
        steps: the nodes, in order; the last has the result.
    """

    source: fx.Node
    steps: tuple[fx.Node, ...]

    @property
    def end(self) -> fx.Node:
        return self.steps[-1]


def call_written_activations(gm: fx.GraphModule) -> PassResult:
    """Replace the steps of each activation that is written out by one call."""
    result = PassResult()
    taken: set[fx.Node] = set()
    for functions in list(written_functions(gm)):
        end = functions[0].end
        if end in taken:
            continue
        function, known = next(((f, k) for f in functions if (k := _known(gm, f))), (functions[0], None))
        why = _why_not(gm, function, known)
        if why or known is None:
            result.skip(end, why)
            continue
        taken.update(function.steps)
        with_it = _replace(gm, function, known)
        what = f"{known.name} of {function.source.name}, written out in {len(function.steps)} steps{with_it}"
        result.change(end, what)
        for step in function.steps[:-1]:
            result.change(step, f"becomes part of {end.name}")
    drop_unread_tensors(gm)
    return result


def written_functions(gm: fx.GraphModule) -> Iterator[list[WrittenFunction]]:
    """Yield the functions that end at a node, the longest first; nodes at which several steps end, the last first.

    A function is no affine map: those are folded into layers.
    """
    places = {node: place for place, node in enumerate(gm.graph.nodes)}
    for node in reversed(places):
        found = [f for f in _functions_up_to(gm, node, places) if len(f.steps) > 1 and not _only_clips(gm, f)]
        values = _values(gm, found[-1]) if found else None
        if values is not None and not _is_affine(values):
            yield found[::-1]


def _functions_up_to(gm: fx.GraphModule, end: fx.Node, places: Mapping[fx.Node, int]) -> list[WrittenFunction]:
    """All functions of one tensor that a node is the end of, the shortest first."""
    waiting, steps, found = {end}, list[fx.Node](), list[WrittenFunction]()
    while len(steps) <= _MOST_STEPS:
        last = max(waiting, key=places.__getitem__)
        if len(waiting) == 1 and steps and is_floating_point(last) and shape_of(last) == shape_of(end):
            found.append(WrittenFunction(last, tuple(sorted(steps, key=places.__getitem__))))
        inputs = _inputs_of_step(gm, last, end)
        if inputs is None:
            break
        waiting.remove(last)
        waiting.update(inputs)
        steps.append(last)
    return found


def _inputs_of_step(gm: fx.GraphModule, node: fx.Node, end: fx.Node) -> list[fx.Node] | None:
    """Tensors of which a node is a function of each value alone; None if it is another kind of node."""
    if node.op not in ("call_function", "call_method") or torch_name(gm, node) not in _STEPS:
        return None
    if not shape_of(node) or shape_of(node) != shape_of(end):
        return None
    inputs = [source for source in node.all_input_nodes if _number(gm, source) is None]
    return inputs if inputs and all(shape_of(source) == shape_of(end) for source in inputs) else None


def _number(gm: fx.GraphModule, node: fx.Node) -> Tensor | None:
    """The constant that a node reads, if it is one number."""
    found = tensor_at(gm, str(node.target)) if node.op == "get_attr" else None
    return found if found is not None and found.numel() == 1 and found.is_floating_point() else None


def _only_clips(gm: fx.GraphModule, function: WrittenFunction) -> bool:
    """Whether all steps are clamps, which ``merge_clips`` merges."""
    return all(operator_name(gm, step) in BOUNDS for step in function.steps)


def _values(gm: fx.GraphModule, function: WrittenFunction) -> Tensor | None:
    """Values of a function on the grid, float64; None if it cannot be computed there."""
    values: dict[fx.Node, Any] = {function.source: _GRID}

    def value(node: fx.Node) -> Any:
        if node not in values:
            number = _number(gm, node)
            assert number is not None
            values[node] = number.detach().double().reshape(())
        return values[node]

    for step in function.steps:
        args, kwargs = fx.node.map_arg((step.args, dict(step.kwargs)), value)
        call: Any = step.target if step.op == "call_function" else getattr(args[0], str(step.target))
        try:
            values[step] = call(*(args if step.op == "call_function" else args[1:]), **kwargs)
        except (RuntimeError, TypeError, ValueError):
            return None
    found = values[function.end]
    return found if isinstance(found, Tensor) and found.shape == _GRID.shape and found.is_floating_point() else None


def _is_affine(values: Tensor) -> bool:
    """Whether values on the grid are those of ``a x + b``."""
    at_zero = values[len(_NEAR) // 2]
    return _are_close(values, at_zero + (values[-1] - at_zero) / _GRID[-1] * _GRID)


def _known(gm: fx.GraphModule, function: WrittenFunction) -> Activation | None:
    """The activation with the values of a function; None if none is known.

    Far out, where a power of e has no value, a function may be undefined that an activation is not.
    """
    values = _values(gm, function)
    if values is None or not bool(torch.isfinite(values[: len(_NEAR)]).all()):
        return None
    is_defined = torch.isfinite(values)
    alike = torch.isclose(_fixed_values(), values, rtol=_CLOSE, atol=_CLOSE)[:, is_defined].all(dim=1)
    if alike.any():
        return _FIXED[int(alike.int().argmax())]
    return next((k for k in _fitted(values[is_defined]) if _are_close(values[is_defined], k.values[is_defined])), None)


@cache
def _fixed_values() -> Tensor:
    return torch.stack([known.values for known in _FIXED])


def _fitted(values: Tensor) -> Iterator[Activation]:
    """Activations with the settings that they would have if these were their values."""
    low, high, at_minus_one = (float(v) for v in (values.min(), values.max(), values[_MINUS_ONE]))
    if float(_GRID.min()) < low < high < float(_GRID.max()):
        yield Activation("clip", {"min": low, "max": high})
    if 0 < -at_minus_one < 1:
        yield Activation("leaky_relu", {"negative_slope": -at_minus_one})
    if -0.5 < at_minus_one < 0:
        yield Activation("silu", scale=math.log(-1 / at_minus_one - 1))
    if low < 0:
        yield Activation("elu", {"alpha": -low})


def _are_close(values: Tensor, others: Tensor) -> bool:
    return bool(torch.isclose(values, others, rtol=_CLOSE, atol=_CLOSE).all())


def _why_not(gm: fx.GraphModule, function: WrittenFunction, known: Activation | None) -> str:
    """Why steps are not replaced; empty if they can be."""
    source = function.source.name
    if known is None:
        return f"its {len(function.steps)} steps from {source} on compute no activation that is known"
    if known.scale != 1 and any(operator_name(gm, step) == known.name for step in function.steps):
        return f"it is a {known.name} of {source} with a scale already"
    inside = set(function.steps)
    others = ((step, user) for step in function.steps[:-1] for user in step.users if user not in inside)
    step, user = next(others, (None, None))
    return "" if step is None or user is None else f"{user.name} reads {step.name}, too"


def _replace(gm: fx.GraphModule, function: WrittenFunction, known: Activation) -> str:
    """Call the activation in place of its steps; the text that names constants which nothing reads any more."""
    constants = [n for step in function.steps for n in step.all_input_nodes if n.op == "get_attr"]

    def call(target: Callable[..., Any], *args: Any, **settings: Any) -> fx.Node:
        return insert_call(gm, function.end, target, *args, like=function.end, **settings)

    scale = known.scale
    made = function.source if scale == 1 else call(torch.mul, function.source, scale)
    made = call(known.function, made, **known.settings)
    replace_node(gm, function.end, made if scale == 1 else call(torch.mul, made, 1 / scale))
    for step in function.steps[-2::-1]:
        gm.graph.erase_node(step)
    return erase_unread(gm, constants)
