"""Capture: an ``nn.Module`` becomes a FLOAT graph in the one vocabulary.

Ways, tried in order: ``torch.fx.symbolic_trace``, with the modules it cannot enter kept as leaves if they hold no
layers; ``torch.export``, lifted back to layers. Whatever way, the captured graph is run beside the model on the
example inputs, and a difference is an error. The result is exact: the same kernels in the same order.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from .canonical import canonicalize
from .errors import GraphError
from .failure import first_line, users_frame
from .inplace import make_out_of_place
from .shapes import record_shapes
from .stages import Stage, graph_facts, set_stage
from .symbolic_trace import trace_graph

Method = Literal["auto", "trace", "export"]
Attempt = Callable[[], fx.GraphModule]

CAPTURE_TOLERANCE = 1e-5
"""Difference allowed between model and captured graph, in parts of the largest output: their kernels are the same,
but the order in which they add may not be (attention is one fused kernel in one, and opened in the other)."""

_ONE_BATCH, _CLOSED = "export of one batch size", "trace of closed containers"
_LESSER = {
    _ONE_BATCH: "captured for the example's batch size only",
    _CLOSED: "captured with torch.nn's containers of layers whole, in float",
}
"""Ways to capture that give less than was asked for, and what to tell of it."""


def capture(
    model: nn.Module,
    example_inputs: Tensor | tuple[Any, ...],
    *,
    method: Method = "auto",
    leaves: Sequence[str] = (),
) -> fx.GraphModule:
    """Capture a model as a FLOAT graph.

    ``"trace"`` keeps ``nn.MultiheadAttention`` and functions wrapped for torch.fx whole, in float; ``"export"`` opens
    them, so that their linear layers can run in int8 too. Inputs that are not tensors are fixed at the value given.

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
    _require_eval(model)
    expected = _run_model(model, inputs)
    gm = _first_that_works(model, inputs, expected, _attempts(model, inputs, method, leaves))
    set_stage(gm, Stage.FLOAT)
    graph_facts(gm)["example_inputs"] = tuple((tuple(x.shape), x.dtype) if isinstance(x, Tensor) else x for x in inputs)
    return gm.eval()


def _attempts(
    model: nn.Module, inputs: tuple[Any, ...], method: Method, leaves: Sequence[str]
) -> Iterator[tuple[str, Attempt]]:
    from .exporting import export_graph

    if method in ("auto", "trace"):
        yield "trace", partial(trace_graph, model, inputs, leaves)
    if method == "export" or (method == "auto" and not leaves):
        yield "export", partial(export_graph, model, inputs)
        yield _ONE_BATCH, partial(export_graph, model, inputs, dynamic_batch=False)
    if method in ("auto", "trace"):
        yield _CLOSED, partial(trace_graph, model, inputs, leaves, open_containers=False)


def _first_that_works(
    model: nn.Module, inputs: tuple[Any, ...], expected: Any, attempts: Iterator[tuple[str, Attempt]]
) -> fx.GraphModule:
    failures: dict[str, GraphError] = {}
    for name, attempt in attempts:
        try:
            gm = _finish(attempt(), inputs, expected)
        except GraphError as error:
            failures[name] = error
            continue
        graph_facts(gm)["method"] = name
        if name in _LESSER:
            warnings.warn(f"{_LESSER[name]}, because: {next(iter(failures.values())).why}", stacklevel=3)
        return gm
    first, *others = failures.values()
    if all(o.why == first.why for o in others):
        raise first
    other = next(o for o in others if o.why != first.why)
    raise GraphError(
        first.what, why=f"{first.why}; and {other.why}", fix=first.fix, at=first.at or other.at, step="capture"
    ) from first


def _finish(gm: fx.GraphModule, inputs: tuple[Any, ...], expected: Any) -> fx.GraphModule:
    """Bring a fresh graph into canonical form, and see that it still computes what the model does."""
    try:
        make_out_of_place(gm, inputs)
        record_shapes(gm, inputs)
    except GraphError:
        raise
    except Exception as error:  # a wrongly specialised graph may raise whatever its kernels raise
        raise _does_not_run(gm, error) from error
    canonicalize(gm)
    record_shapes(gm, inputs)
    _require_equal(gm, inputs, expected)
    return gm


def _does_not_run(gm: fx.GraphModule, error: Exception) -> GraphError:
    return GraphError(
        f"the captured graph of {type(gm).__name__} does not run on the example inputs",
        why=first_line(error),
        fix="look for Python values computed from inputs, which a graph fixes at what they were while capturing",
        at=users_frame(error),
        step="capture",
    )


def _require_eval(model: nn.Module) -> None:
    training = [name or type(model).__name__ for name, module in model.named_modules() if module.training]
    if training:
        raise GraphError(
            f"{type(model).__name__} is in training mode ({training[0]}{' and others' if len(training) > 1 else ''})",
            why="dropout and BatchNorm compute something else in training than in deployment",
            fix="capture(model.eval(), example_inputs)",
            step="capture",
        )


def _run_model(model: nn.Module, inputs: tuple[Any, ...]) -> Any:
    """The model's own output, on copies of the inputs because a model may change them in place."""
    try:
        with torch.no_grad():
            return model(*_copies(inputs))
    except Exception as error:  # a model's forward may raise anything, and is the caller's to mend
        shapes = [tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__ for x in inputs]
        raise GraphError(
            f"{type(model).__name__} does not run on the example inputs {shapes}",
            why=first_line(error),
            fix="pass example inputs the model accepts: a tuple with one entry for each argument of forward",
            at=users_frame(error),
            step="capture",
        ) from error


def _copies(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    copies: tuple[Any, ...] = pytree.tree_map(lambda x: x.clone() if isinstance(x, Tensor) else x, inputs)
    return copies


def _require_equal(gm: fx.GraphModule, inputs: tuple[Any, ...], expected: Any) -> None:
    with torch.no_grad():
        found = gm(*_copies(inputs))
    ours, theirs = pytree.tree_leaves(found), pytree.tree_leaves(expected)
    if len(ours) != len(theirs):
        raise _differs(gm, f"it returns {len(ours)} values, the model {len(theirs)}")
    for a, b in zip(ours, theirs, strict=True):
        why = why_different(a, b)
        if why:
            raise _differs(gm, why)


def why_different(found: Any, expected: Any) -> str | None:
    """How two outputs differ by more than rounding; None if they do not."""
    if not isinstance(found, Tensor) or not isinstance(expected, Tensor):
        same = type(found) is type(expected) and found == expected
        return None if same else f"an output is {found!r}, of the model {expected!r}"
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return f"an output is {found.dtype} {tuple(found.shape)}, of the model {expected.dtype} {tuple(expected.shape)}"
    if not found.is_floating_point():
        return None if torch.equal(found, expected) else "outputs of whole numbers differ"
    finite = expected[expected.isfinite()].abs()
    allowed = CAPTURE_TOLERANCE * (finite.max().item() if finite.numel() else 1.0)
    if torch.allclose(found, expected, rtol=0.0, atol=allowed, equal_nan=True):
        return None
    return f"outputs differ by {(found - expected).abs().max().item():.3g}"


def _differs(gm: fx.GraphModule, why: str) -> GraphError:
    return GraphError(
        f"the captured graph of {type(gm).__name__} computes something else than the model",
        why=why,
        fix="look for state that changes between calls, randomness in eval mode, or in-place changes of an input",
        step="capture",
    )
