"""Capture: turn an ``nn.Module`` into a FLOAT graph of known operators.

Two ways are tried in order. First ``torch.fx.symbolic_trace``: modules that it cannot trace are kept whole if they
contain no layers, but a function that computes with layers' weights is not kept whole. Second ``torch.export``, whose
calls are turned back into layers. It is also tried if a trace keeps an ``nn.MultiheadAttention`` whole that no pass can
open, as with masks, because its linear layers would stay in float; if it fails then, the trace is kept. If both fail,
restricted forms of them are tried, with a warning. The captured graph is then run beside the model on the example
inputs, and a difference is an error. The result is exact: the same kernels in the same order.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from torch import Tensor, fx, nn

from ..errors import GraphError
from ..graph.shapes import record_shapes, value_range
from ..graph.stages import CaptureMethod, Stage, graph_facts, set_stage
from ..passes.attention import keeps_attention_whole
from ..signature.examples import specs_of, tensors_in
from ..signature.free_sizes import BATCH, Dims, FreeSizes, fixed_sizes, learn_batch, set_free_sizes
from ..signature.model_batches import learned_dims, warn_of_fixed
from ..signature.model_call import bound
from .canonical import canonicalize
from .checks import (
    DifferentGraph,
    require_batches,
    require_equal,
    require_equal_for_one,
    require_eval,
    require_float_source,
    require_layers_in_sight,
    require_plain_output,
    require_same_twice,
    require_values,
    run_model,
)
from .dynamic_sizes import Dynamic, free_as_wanted, wanted_dims, with_free_images
from .lifting import lift_layers
from .open_outputs import open_outputs
from .remembered_sizes import remembers_sizes, sizes_forgotten
from .rewrites.constants import fold_constants
from .rewrites.inplace import make_out_of_place
from .rewrites.padding import number_output_sizes
from .symbolic_trace import trace_graph

Method = Literal["auto", "trace", "export"]
Attempt = Callable[[], fx.GraphModule]

_TRACE, _EXPORT = CaptureMethod.TRACE, CaptureMethod.EXPORT
_ONE_BATCH, _CLOSED = CaptureMethod.EXPORT_OF_ONE_BATCH, CaptureMethod.TRACE_OF_CLOSED_CONTAINERS
_LESSER = {
    _ONE_BATCH: ("captured for the example's batch size only", _EXPORT),
    _CLOSED: ("captured with containers of layers, or functions that call them, whole and in float", _TRACE),
}
"""Ways of capture with restrictions: the text of the warning, and the way that must have failed before."""


def capture(
    model: nn.Module,
    example_inputs: Tensor | tuple[Any, ...] | Mapping[str, Any],
    *,
    method: Method = "auto",
    leaves: Sequence[str] = (),
    dynamic: Dynamic | None = None,
) -> fx.GraphModule:
    """Capture a model as a FLOAT graph.

    ``"trace"`` keeps functions wrapped for torch.fx and ``nn.MultiheadAttention`` whole, in float; ``"export"``
    captures their contents, so that their linear layers can run in int8, too. ``"auto"`` uses a trace unless such a
    function computes with the weights of layers, or no pass can open the attention. Inputs that are not tensors are
    constants of the graph.

    Args:
        model: in eval mode. It is not changed; the graph shares its parameters until a pass copies it.
        example_inputs: a tensor, a tuple of the model's inputs, or a dict of them by name. The batch dimension of each
            is found by running the graph with another batch size.
        method: ``"trace"``, ``"export"`` or ``"auto"`` (the first that works).
        leaves: qualified names of modules that tracing keeps whole, in float.
        dynamic: other dimensions that are free: ``{"x": {2: "height", 3: "width"}}``. Each is tried with another size.
            Dimensions named ``batch`` are the batch; it is then not searched.

    Raises:
        InputError: ``dynamic`` names no input, or no dimension of it.
        GraphError: the model is in training mode, quantized already, cannot be captured, or its graph computes
            something else.
    """
    if leaves and method == "export":
        raise GraphError(
            f"leaves {list(leaves)} with method='export'",
            why="torch.export enters every module; only tracing can keep one whole",
            fix="capture(..., method='trace', leaves=[...])",
            step="capture",
        )
    require_float_source(model)
    require_eval(model)
    inputs, keywords = bound(model, example_inputs)
    require_values(model, inputs)
    expected = run_model(model, inputs, keywords)
    require_plain_output(model, expected)
    wanted = wanted_dims(model, inputs, keywords, dynamic or {})
    gm = _first_that_works(_Capture(model, inputs, keywords, expected, wanted), method, leaves)
    set_stage(gm, Stage.FLOAT)
    graph_facts(gm).example_ranges = tuple(value_range(x) for x in tensors_in(inputs))
    return gm.eval()


@dataclass(frozen=True)
class _Capture:
    """A model, its inputs, its output for them, and the dimensions that the caller wants free."""

    model: nn.Module
    inputs: tuple[Any, ...]
    keywords: tuple[str, ...]
    expected: Any
    wanted: tuple[Dims, ...]

    def attempts(self, method: Method, leaves: Sequence[str]) -> Iterator[tuple[CaptureMethod, Attempt]]:
        given: dict[str, Any] = {"keywords": self.keywords}
        if method in ("auto", "trace"):
            yield _TRACE, partial(trace_graph, self.model, self.inputs, leaves, **given)
        if method == "export" or (method == "auto" and not leaves):
            # torch.export takes a second to import; few models need it
            from .torch_export import export_behind, export_graph

            exported = partial(export_graph, self.model, self.inputs, dynamic=self.wanted, **given)
            yield _EXPORT, exported
            if remembers_sizes(self.model):
                yield _EXPORT, partial(self._export_forgetting, exported)
            if not any(self.wanted):
                learned = learned_dims(self.model, self.inputs, self.keywords, self.expected)
                if any(set(dims) - {0} for dims in learned):
                    yield _EXPORT, partial(export_behind, self.model, self.inputs, self.keywords, learned)
                yield _ONE_BATCH, partial(export_graph, self.model, self.inputs, dynamic_batch=False, **given)
        if method in ("auto", "trace"):
            yield _CLOSED, partial(trace_graph, self.model, self.inputs, leaves, open_containers=False, **given)

    def _export_forgetting(self, exported: Attempt) -> fx.GraphModule:
        with sizes_forgotten(self.model):
            return exported()

    def finish(self, gm: fx.GraphModule, way: CaptureMethod) -> fx.GraphModule:
        """Bring a new graph into canonical form, compare it with the model, and find its free sizes."""
        gm = _finish(gm, self.inputs, self.expected, fixed=not any(self.wanted))
        if way is _EXPORT:
            require_equal_for_one(self.model, gm, self.inputs, self.keywords)
        graph_facts(gm).example_inputs = specs_of(self.inputs)
        sizes = fixed_sizes(self.inputs, self.expected)
        if way is not _ONE_BATCH and not any(BATCH in dims.values() for dims in self.wanted):
            sizes = learn_batch(gm, self.inputs, self.expected)
        if way is _EXPORT and not any(self.wanted):
            gm, sizes = self._freed(gm, sizes)
        if any(self.wanted):
            sizes = free_as_wanted(self.model, gm, self.inputs, self.keywords, self.wanted, sizes)
        elif way is not _ONE_BATCH:
            sizes = with_free_images(self.model, gm, self.inputs, self.keywords, self.expected, sizes)
        set_free_sizes(gm, sizes)
        return gm

    def _freed(self, gm: fx.GraphModule, sizes: FreeSizes) -> tuple[fx.GraphModule, FreeSizes]:
        """An export in which the dimensions are free that the model has as batches; otherwise the given graph.

        ``torch.export`` frees what it was asked for: dimension 0, which is not the batch of ``[T, B, C]``.
        """
        if sizes.separate and all(dims or not x.dim() for dims, x in zip(sizes.inputs, self._tensors, strict=True)):
            return gm, sizes
        from .torch_export import export_behind

        learned = learned_dims(self.model, self.inputs, self.keywords, self.expected)
        if all(set(dims) <= set(known) for dims, known in zip(learned, sizes.inputs, strict=True)):
            return gm, sizes
        try:
            other = _finish(export_behind(self.model, self.inputs, self.keywords, learned), self.inputs, self.expected)
        except GraphError:
            other = gm
        graph_facts(other).example_inputs = specs_of(self.inputs)
        found = learn_batch(other, self.inputs, self.expected)
        if found.separate and len(found.names) >= len(sizes.names):
            gm, sizes = other, found
        warn_of_fixed(self.model, self.inputs, self.keywords, learned, sizes)
        return gm, sizes

    @property
    def _tensors(self) -> list[Tensor]:
        return tensors_in(self.inputs)


def _first_that_works(given: _Capture, method: Method, leaves: Sequence[str]) -> fx.GraphModule:
    failures: dict[CaptureMethod, GraphError] = {}
    whole: fx.GraphModule | None = None
    for way, attempt in given.attempts(method, leaves):
        if whole is not None and way is not _EXPORT:
            break
        try:
            gm = given.finish(attempt(), way)
            if way is _TRACE and method == "auto":
                require_layers_in_sight(given.model, gm)
        except GraphError as error:
            failures.setdefault(way, error)
            continue
        graph_facts(gm).capture_method = way
        if way is _TRACE and method == "auto" and keeps_attention_whole(gm):
            whole = gm
            continue
        if way in _LESSER:
            what, instead_of = _LESSER[way]
            warnings.warn(f"{what}, because: {failures[instead_of].why}", stacklevel=3)
        return gm
    if whole is not None:
        return whole
    first, *others = failures.values()
    if any(isinstance(f, DifferentGraph) for f in failures.values()):
        require_same_twice(given.model, given.inputs, given.expected, given.keywords)
    other = next((o for o in others if o.what != first.what), first)
    if other is first:
        raise first
    raise GraphError(
        first.what, why=f"{first.why}; and {other.why}", fix=first.fix, at=first.at or other.at, step="capture"
    ) from first


def _finish(gm: fx.GraphModule, inputs: tuple[Any, ...], expected: Any, *, fixed: bool = True) -> fx.GraphModule:
    """Bring a new graph into canonical form, and check that its results still equal those of the model.

    Args:
        fixed: whether sizes that depend on others may be written as numbers.
    """
    make_out_of_place(gm, inputs)
    record_shapes(gm, inputs)
    lift_layers(gm)
    if fixed:
        number_output_sizes(gm)
    fold_constants(gm)
    canonicalize(gm)
    open_outputs(gm, expected)
    record_shapes(gm, inputs)
    require_batches(gm)
    require_equal(gm, inputs, expected)
    return gm
