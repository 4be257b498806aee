"""Capture: an ``nn.Module`` becomes a FLOAT graph in the one vocabulary.

Ways, tried in order: ``torch.fx.symbolic_trace``, with the modules it cannot enter kept as leaves if they hold no
layers, and no function kept whole that computes with layers' weights; ``torch.export``, lifted back to layers. Whatever
way, the captured graph is run beside the model on the example inputs, and a difference is an error. The result is
exact: the same kernels in the same order.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal

from torch import Tensor, fx, nn

from .canonical import canonicalize
from .capture_checks import (
    DifferentGraph,
    require_equal,
    require_equal_for_one,
    require_eval,
    require_layers_in_sight,
    require_plain_output,
    require_same_twice,
    require_values,
    run_model,
)
from .constants import fold_constants
from .errors import GraphError
from .inplace import make_out_of_place
from .lifting import lift_layers
from .shapes import record_shapes, value_range
from .stages import Stage, graph_facts, set_stage
from .symbolic_trace import trace_graph

Method = Literal["auto", "trace", "export"]
Attempt = Callable[[], fx.GraphModule]

_ONE_BATCH, _CLOSED = "export of one batch size", "trace of closed containers"
_LESSER = {
    _ONE_BATCH: ("captured for the example's batch size only", "export"),
    _CLOSED: ("captured with containers of layers, or functions that call them, whole and in float", "trace"),
}
"""Ways to capture that give less than was asked for: what to tell of it, and the way that failed before."""


def capture(
    model: nn.Module,
    example_inputs: Tensor | tuple[Any, ...],
    *,
    method: Method = "auto",
    leaves: Sequence[str] = (),
) -> fx.GraphModule:
    """Capture a model as a FLOAT graph.

    ``"trace"`` keeps ``nn.MultiheadAttention`` and functions wrapped for torch.fx whole, in float; ``"export"`` opens
    them, so that their linear layers can run in int8 too. ``"auto"`` takes a trace unless such a function computes with
    the weights of layers. Inputs that are not tensors are fixed at the value given.

    Args:
        model: in eval mode. It is not changed; the graph shares its parameters until a pass copies it.
        example_inputs: a tensor or a tuple of them, as the model takes them; dimension 0 is the batch.
        method: ``"trace"``, ``"export"`` or ``"auto"`` (the first that works).
        leaves: qualified names of modules to keep whole when tracing, as float black boxes.

    Raises:
        GraphError: the model is in training mode, cannot be captured, or its capture computes something else.
    """
    inputs = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
    if leaves and method == "export":
        raise GraphError(
            f"leaves {list(leaves)} with method='export'",
            why="torch.export enters every module; only tracing can keep one whole",
            fix="capture(..., method='trace', leaves=[...])",
            step="capture",
        )
    require_eval(model)
    require_values(model, inputs)
    expected = run_model(model, inputs)
    require_plain_output(model, expected)
    gm = _first_that_works(model, inputs, expected, method, _attempts(model, inputs, method, leaves))
    set_stage(gm, Stage.FLOAT)
    graph_facts(gm)["example_ranges"] = tuple(value_range(x) for x in inputs)
    graph_facts(gm)["example_inputs"] = tuple((tuple(x.shape), x.dtype) if isinstance(x, Tensor) else x for x in inputs)
    return gm.eval()


def _attempts(
    model: nn.Module, inputs: tuple[Any, ...], method: Method, leaves: Sequence[str]
) -> Iterator[tuple[str, Attempt]]:
    if method in ("auto", "trace"):
        yield "trace", partial(trace_graph, model, inputs, leaves)
    if method == "export" or (method == "auto" and not leaves):
        from .exporting import export_graph  # torch.export takes a second to import; few models need it

        yield "export", partial(export_graph, model, inputs)
        yield _ONE_BATCH, partial(export_graph, model, inputs, dynamic_batch=False)
    if method in ("auto", "trace"):
        yield _CLOSED, partial(trace_graph, model, inputs, leaves, open_containers=False)


def _first_that_works(
    model: nn.Module, inputs: tuple[Any, ...], expected: Any, method: Method, attempts: Iterator[tuple[str, Attempt]]
) -> fx.GraphModule:
    failures: dict[str, GraphError] = {}
    for name, attempt in attempts:
        try:
            gm = _finish(attempt(), inputs, expected)
            if name == "export":
                require_equal_for_one(model, gm, inputs)
            if name == "trace" and method == "auto":
                require_layers_in_sight(model, gm)
        except GraphError as error:
            failures[name] = error
            continue
        graph_facts(gm)["method"] = name
        if name in _LESSER:
            what, instead_of = _LESSER[name]
            warnings.warn(f"{what}, because: {failures[instead_of].why}", stacklevel=3)
        return gm
    first, *others = failures.values()
    if any(isinstance(f, DifferentGraph) for f in failures.values()):
        require_same_twice(model, inputs, expected)
    other = next((o for o in others if o.what != first.what), first)
    if other is first:
        raise first
    raise GraphError(
        first.what, why=f"{first.why}; and {other.why}", fix=first.fix, at=first.at or other.at, step="capture"
    ) from first


def _finish(gm: fx.GraphModule, inputs: tuple[Any, ...], expected: Any) -> fx.GraphModule:
    """Bring a fresh graph into canonical form, and see that it still computes what the model does."""
    make_out_of_place(gm, inputs)
    record_shapes(gm, inputs)
    lift_layers(gm)
    fold_constants(gm)
    canonicalize(gm)
    record_shapes(gm, inputs)
    require_equal(gm, inputs, expected)
    return gm
