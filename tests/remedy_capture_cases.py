"""Errors of capture and of the caller's code: models that raise one, a part of its remedy, and the remedy taken."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast
from unittest.mock import patch

import torch
from remedy_subjects import Case, Detector
from remedy_subjects import X as ROWS
from remedy_user_cases import file
from tiny_nets.all_nets import TINY
from torch import Tensor, nn
from torch import fx as torch_fx

import fxpasses as fx
from fxpasses.capturing import symbolic_trace
from fxpasses.capturing.checks import require_layers_in_sight
from fxpasses.capturing.torch_export import export_graph
from fxpasses.models.users.user_code import load_factory
from fxpasses.signature.input_check import check_inputs

CAPTURING, BY_EXPORT = "fxpasses/capturing", "capture(..., method='export')"
VALUES = "look for Python values computed from inputs"


class Around(nn.Module):
    """A linear layer before a function; further inputs are the function's, too."""

    def __init__(self, function: Callable[..., Any], **state: Tensor) -> None:
        super().__init__()
        self.layer, self.function = nn.Linear(3, 4), function
        for name, value in state.items():
            self.register_buffer(name, value)

    def forward(self, x: Tensor, *more: Any) -> Any:
        return self.function(self, self.layer(x), *more)


def captured(function: Callable[..., Any], *more: Any, method: Any = "trace", **state: Any) -> torch_fx.GraphModule:
    model = Around(function, **state).eval()
    return fx.capture(model, (ROWS, *more), method=method)


def is_real(x: object) -> bool:
    """Whether this is a tensor, as code asks that takes lists, too: while it is traced it is not."""
    return isinstance(x, Tensor)


class Summed(nn.Module):
    """Columns summed over their number, which Python counts or the graph does."""

    def __init__(self, counted: bool) -> None:
        super().__init__()
        self.counted = counted

    def forward(self, x: Tensor) -> Tensor:
        number = x.shape[1] if is_real(x) or not self.counted else 3
        return x.mean(1) * number


class Asks(nn.Module):
    """A module without layers that asks for a value."""

    def forward(self, x: Tensor) -> Tensor:
        return x if float(x.sum()) < 1e9 else -x


class OneImage(nn.Module):
    def __init__(self, batched: bool) -> None:
        super().__init__()
        self.layer, self.batched = nn.Conv2d(3, 4, 1), batched

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layer(x[:1])[0] if self.batched else self.layer(x[0])
        return found


@dataclass
class Rows:
    rows: Tensor


class OfRows(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, batch: Any) -> Tensor:
        found: Tensor = self.layer(batch.rows)
        return found


class Wrapping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = OfRows()

    def forward(self, rows: Tensor) -> Tensor:
        found: Tensor = self.inner(Rows(rows))
        return found


def head() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU()).eval()


def of_old_torch(make: Callable[[], nn.Module]) -> nn.Module:
    """A model of a kind that torch has deprecated, and users still have."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()


def scripted() -> nn.Module:
    return of_old_torch(lambda: torch.jit.script(head()))


def prepared() -> nn.Module:
    model = torch.ao.quantization.QuantWrapper(head())
    model.qconfig = torch.ao.quantization.get_default_qconfig("x86")
    made: nn.Module = torch.ao.quantization.prepare(model)
    return made


def with_weights(state: dict[str, Tensor]) -> nn.Module:
    made = head()
    made.load_state_dict(state)
    return made


def many_that_ask() -> nn.Module:
    return nn.Sequential(nn.Sequential(nn.Linear(3, 4)), *(Asks() for _ in range(4))).eval()


def with_fewer_leaves(model: nn.Module) -> torch_fx.GraphModule:
    """Capture with room for two modules that are kept whole, instead of many."""
    with patch.object(symbolic_trace, "_MOST_LEAVES", 2):
        return fx.capture(model, ROWS, method="trace")


def in_sight(method: Any) -> Any:
    net = TINY["wrapped_layers"]
    model = net.build()
    if method == "export":
        return fx.capture(model, net.example_inputs(), method=method)
    return require_layers_in_sight(model, torch_fx.symbolic_trace(model))


def summed(counted: bool) -> Any:
    return fx.capture(Summed(counted).eval(), ROWS, method="trace", dynamic={"x": {1: "columns"}})


def counted(function: Callable[[Tensor], Tensor]) -> Any:
    return export_graph(Around(lambda net, x: function(x)).eval(), (ROWS,))


def steps(net: Any, x: Tensor) -> Tensor:
    total: Tensor = net.total.add_(x.mean())
    return x + total


def written_later(net: Any, x: Tensor) -> Tensor:
    y = x * 1
    seen = y.view(-1)
    y.add_(1)
    return seen * 2


def written_nowhere(net: Any, x: Tensor) -> Tensor:
    return (x * 1 + 1).view(-1) * 2


def of_two(state: Tensor, flag: object = True) -> None:
    """Check inputs against a graph of rows, a state beside them and a switch."""
    graph = captured(lambda net, x, h, on: x + h if on else x, torch.ones(2, 4), True)
    check_inputs(graph, (ROWS, state, flag), "a batch")


CAPTURE_CASES: dict[str, Case] = {
    f"{CAPTURING}/attempts.py:_first_that_works": (
        lambda _: fx.capture(Detector().eval(), ROWS),
        "capture the part that holds the layers, model.get_submodule('backbone')",
        lambda _: fx.capture(Detector().eval().get_submodule("backbone"), ROWS),
    ),
    f"{CAPTURING}/checks.py:_differs": (
        lambda _: captured(lambda net, x: x * 2 if is_real(x) else x),
        VALUES,
        lambda _: captured(lambda net, x: x * 2),
    ),
    f"{CAPTURING}/checks.py:require_batches": (
        lambda _: fx.capture(OneImage(batched=False).eval(), torch.ones(2, 3, 5, 4)),
        "capture with a batch, as x[None], or have the model do y = layer(x[None])[0]",
        lambda _: fx.capture(OneImage(batched=True).eval(), torch.ones(2, 3, 5, 4)),
    ),
    f"{CAPTURING}/checks.py:require_float_source": (
        lambda _: fx.capture(cast(Any, head().forward), ROWS),
        "call it in the forward of an nn.Module that has its layers as attributes, and capture that",
        lambda _: fx.capture(head(), ROWS),
    ),
    f"{CAPTURING}/checks.py:require_float_source#2": (
        lambda _: fx.capture(scripted(), ROWS),
        "capture the nn.Module that was scripted or traced, and load the weights into it: model.state_dict()",
        lambda _: fx.capture(with_weights(scripted().state_dict()), ROWS),
    ),
    f"{CAPTURING}/checks.py:require_float_source#3": (
        lambda _: fx.capture(of_old_torch(lambda: torch.ao.nn.quantized.dynamic.Linear(3, 4).eval()), ROWS),
        "capture the float model that it was made from",
        lambda _: fx.capture(head(), ROWS),
    ),
    f"{CAPTURING}/checks.py:require_float_source#4": (
        lambda _: fx.capture(of_old_torch(prepared), ROWS),
        "capture the float model that it was made from, before prepare",
        lambda _: fx.capture(head(), ROWS),
    ),
    f"{CAPTURING}/checks.py:require_layers_in_sight": (
        lambda _: in_sight("trace"),
        BY_EXPORT,
        lambda _: in_sight("export"),
    ),
    f"{CAPTURING}/dynamic_sizes.py:_require_same": (
        lambda _: summed(counted=True),
        "take sizes from tensors where they are needed: x.shape[2]",
        lambda _: summed(counted=False),
    ),
    f"{CAPTURING}/rewrites/inplace.py:make_out_of_place": (
        lambda _: captured(steps, total=torch.zeros(1)),
        "take the state as an input, and return the new one",
        lambda _: captured(lambda net, x, total: (x + (total + x.mean()), total + x.mean()), torch.zeros(1)),
    ),
    f"{CAPTURING}/rewrites/inplace.py:make_out_of_place#2": (
        lambda _: captured(written_later),
        f"write it out of place, or {BY_EXPORT}",
        lambda _: (captured(written_nowhere), captured(written_later, method="export")),
    ),
    f"{CAPTURING}/rewrites/inplace.py:watch_memory": (
        lambda _: captured(lambda net, x: x if is_real(x) else x.reshape(7, 5)),
        VALUES,
        lambda _: captured(lambda net, x: x),
    ),
    f"{CAPTURING}/symbolic_trace.py:untraceable": (
        lambda _: with_fewer_leaves(many_that_ask()),
        "capture the part that holds the layers, model.get_submodule('0')",
        lambda _: with_fewer_leaves(many_that_ask().get_submodule("0")),
    ),
    f"{CAPTURING}/torch_export.py:export_graph": (
        lambda _: counted(lambda x: x.reshape(len(x), -1)),
        "write the operation for a whole batch",
        lambda _: counted(lambda x: x.flatten(1)),
    ),
    "fxpasses/signature/model_call.py:_require_plain": (
        lambda _: fx.capture(OfRows().eval(), (Rows(ROWS),)),
        "wrap the model in a module that takes these and makes that object of them",
        lambda _: fx.capture(Wrapping().eval(), (ROWS,)),
    ),
    "fxpasses/signature/input_check.py:_check_structure": (
        lambda _: of_two(torch.ones(2, 4), torch.ones(1)),
        "a tuple of exactly the model's inputs",
        lambda _: of_two(torch.ones(2, 4), True),
    ),
    "fxpasses/signature/input_check.py:_check_tensor#2": (
        lambda _: of_two(torch.ones(3, 4)),
        "give inputs of one batch the same number of samples",
        lambda _: of_two(torch.ones(2, 4)),
    ),
    "fxpasses/callers_code.py:told_as_the_callers": (
        lambda folder: load_factory(file(folder, "1 +")),
        "make the file importable on its own",
        lambda folder: load_factory(file(folder, "1 + 1")),
    ),
    "fxpasses/callers_code.py:told_as_the_callers#2": (
        lambda folder: load_factory(file(folder, "1\n\ntorch.set_default_dtype(torch.float64)")),
        "put it back before returning, or give dtype= and device= to the calls that need them",
        lambda folder: (
            load_factory(file(folder, f"1\n{_DTYPE.format('float64')}{_DTYPE.format('float32')}")),
            load_factory(file(folder, "torch.ones(2, dtype=torch.float64)")),
        ),
    ),
}
_DTYPE = "\ntorch.set_default_dtype(torch.{})"
