"""Capture: an ``nn.Module`` becomes a FLOAT graph in the one vocabulary.

Three ways, tried in order: ``torch.fx.symbolic_trace``; the same with the modules it cannot enter kept as leaves;
``torch.export``, lifted back to layers. Whatever way, the captured graph is run beside the model on the example
inputs, and a difference is an error. The result is exact: the same kernels in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from .canonical import canonicalize
from .errors import GraphError
from .operator_table import VOCABULARY
from .shapes import record_shapes
from .stages import Stage, graph_facts, set_stage

Method = Literal["auto", "trace", "export"]

CAPTURE_TOLERANCE = 1e-5
"""Relative difference allowed between model and captured graph: the kernels are the same, their order may not be."""

_MOST_LEAVES = 32


class _Tracer(fx.Tracer):
    """symbolic_trace that remembers source lines, keeps vocabulary layers whole, and knows where it failed."""

    def __init__(self, leaves: Sequence[str]) -> None:
        super().__init__(autowrap_functions=())
        self.record_stack_traces = True
        self._leaves = frozenset(leaves)
        self.failed_in: str | None = None

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if module_qualified_name in self._leaves or VOCABULARY.layer(m) or VOCABULARY.spells(type(m)):
            return True
        return super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception:
            if self.failed_in is None:
                self.failed_in = self.path_of_module(m)
            raise


def capture(
    model: nn.Module,
    example_inputs: Tensor | tuple[Any, ...],
    *,
    method: Method = "auto",
    leaves: Sequence[str] = (),
) -> fx.GraphModule:
    """Capture a model as a FLOAT graph.

    Args:
        model: in eval mode. It is not changed; the graph shares its parameters until a pass copies it.
        example_inputs: a tensor or a tuple of them, as the model takes them; dimension 0 is the batch.
        method: ``"trace"``, ``"export"`` or ``"auto"`` (the first that works).
        leaves: qualified names of modules to keep whole, as float black boxes.

    Raises:
        GraphError: the model is in training mode, cannot be captured, or its capture computes something else.
    """
    inputs = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
    _require_eval(model)
    expected = _run_model(model, inputs)
    gm = _capture_any(model, inputs, method, list(leaves))
    record_shapes(gm, inputs)
    canonicalize(gm)
    record_shapes(gm, inputs)
    _require_equal(gm, inputs, expected)
    set_stage(gm, Stage.FLOAT)
    graph_facts(gm)["example_inputs"] = tuple(
        (tuple(x.shape), x.dtype) if isinstance(x, Tensor) else x for x in inputs
    )
    return gm


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
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        shapes = [tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__ for x in inputs]
        raise GraphError(
            f"{type(model).__name__} does not run on the example inputs {shapes}",
            why=str(error).splitlines()[0],
            fix="pass example inputs the model accepts: a tuple with one entry for each argument of forward",
            step="capture",
        ) from error


def _copies(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(x.clone() if isinstance(x, Tensor) else x for x in inputs)


def _capture_any(model: nn.Module, inputs: tuple[Any, ...], method: Method, leaves: list[str]) -> fx.GraphModule:
    if method == "export":
        return _export(model, inputs, after=None)
    for _ in range(_MOST_LEAVES):
        tracer = _Tracer(leaves)
        try:
            graph = tracer.trace(model)
        except Exception as error:  # a model's forward may raise anything at all when fed a Proxy
            failed_in = tracer.failed_in
            if failed_in and not _holds_layers(model.get_submodule(failed_in)):
                leaves.append(failed_in)
                continue
            if method == "auto":
                return _export(model, inputs, after=error)
            raise _untraceable(model, error, failed_in) from error
        return fx.GraphModule(tracer.root, graph, type(model).__name__)
    raise _untraceable(model, RuntimeError(f"more than {_MOST_LEAVES} modules cannot be traced"), leaves[0])


def _holds_layers(module: nn.Module) -> bool:
    """Whether int8 would lose something if this module stayed a black box."""
    return any(VOCABULARY.layer(m) for m in module.modules())


def _export(model: nn.Module, inputs: tuple[Any, ...], after: Exception | None) -> fx.GraphModule:
    from .lifting import export_graph

    try:
        return export_graph(model, inputs)
    except GraphError as error:
        if after is None:
            raise
        traced = _untraceable(model, after, None)
        raise GraphError(
            traced.what,
            why=f"{traced.why}; and torch.export: {error.why}",
            fix=traced.fix,
            at=traced.at or error.at,
            step="capture",
        ) from after


def _untraceable(model: nn.Module, error: Exception, failed_in: str | None) -> GraphError:
    return GraphError(
        f"{type(model).__name__} cannot be traced" + (f" (in {failed_in!r})" if failed_in else ""),
        at=_users_frame(error),
        why=f"symbolic_trace: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
        fix="make that line independent of tensor values, or keep its module whole: capture(..., leaves=['name'])",
        step="capture",
    )


def _users_frame(error: BaseException) -> str | None:
    """The innermost frame of the traceback that is not torch's or ours."""
    found, frame = None, error.__traceback__
    while frame is not None:
        code = frame.tb_frame.f_code
        if "/torch/" not in code.co_filename and not code.co_filename.endswith("fxpasses/tracing.py"):
            found = f'File "{code.co_filename}", line {frame.tb_lineno}, in {code.co_name}'
        frame = frame.tb_next
    return found


def _require_equal(gm: fx.GraphModule, inputs: tuple[Any, ...], expected: Any) -> None:
    with torch.no_grad():
        found = gm(*_copies(inputs))
    ours, theirs = pytree.tree_leaves(found), pytree.tree_leaves(expected)
    for a, b in zip(ours, theirs, strict=True):
        if not isinstance(a, Tensor):
            continue
        if a.shape == b.shape and torch.allclose(a, b, rtol=CAPTURE_TOLERANCE, atol=CAPTURE_TOLERANCE, equal_nan=True):
            continue
        raise GraphError(
            f"the captured graph of {type(gm).__name__} computes something else than the model",
            why=f"outputs differ by {(a - b).abs().max().item():.3g}" if a.shape == b.shape else "shapes differ",
            fix="look for state that changes between calls, randomness in eval mode, or in-place changes of an input",
            step="capture",
        )
