"""Verify that an ONNX file has the results of its graph: both run once, in onnxruntime and in PyTorch.

Exporters drop settings, and some kernels of runtimes are wrong: a file that loads may still give other results. Inputs
are random, between the smallest and the largest value of the example inputs, with the same shapes, and two samples if
the batch is free.

- FLOAT: every output has at least ``FLOAT_DB`` against the graph's: float rounding is far better, a border of wrong
averages far worse.
- QUANTIZED: every integer tensor is at most one step from the graph's, which is computed from the integers that
onnxruntime found before it; the outputs, computed from these integers, as for FLOAT. The session has the option that
the file needs here.
- LOWERED: onnxruntime rounds activations in other ways: outputs have at least ``LOWERED_DB`` against the graph's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from fxpasses.errors import GraphError, InputError
from fxpasses.graph.meta_keys import DTYPE
from fxpasses.graph.stages import Stage, stage_of
from fxpasses.quantization.int8.names import is_int8_name, tensor_of
from fxpasses.quantization.numbers import ops
from fxpasses.signature.examples import tensors_in
from fxpasses.signature.outputs import tensors_of
from fxpasses.sqnr import sqnr_db

from ..exact_sums import set_exact_sums
from ..files import file_bytes
from ..integer_tensors import integer_kinds, reveal
from ..onnx_reader import read_onnx
from ..onnx_refusals import SILENT, refusals_told
from ..probe_inputs import probe_inputs

if TYPE_CHECKING:
    import onnx

FLOAT_DB = 60.0
LOWERED_DB = 10.0
STEPS = 1
"""Largest difference of an 8-bit integer in LSBs, given equal integers before it."""
WIDE_STEPS = 4
"""Largest difference of a 16-bit integer in LSBs: its steps are 256 times finer, so float32 rounding counts."""
LARGE_FILE = 1 << 30
"""Size of a file in bytes above which inner tensors are not compared, since the file would have to be copied."""
_KEPT = '`overrides=[Override("node:{name}", keep_float=True)]`'
_ELSEWHERE = "verify=False writes the file unchecked"
_WITHOUT = "write the model without that operator, or keep it out of the deployed graph"
_FLOAT32 = (
    "capture model.float() instead, with float32 inputs and no torch.autocast in its forward, and lower the precision "
    "here: fxpasses.precision"
)


@dataclass
class _Found:
    """Results of onnxruntime: its outputs, and inner tensors by name."""

    outputs: list[Tensor]
    inside: dict[str, Tensor]


def verify_onnx(gm: fx.GraphModule, path: Path, *, dynamic_batch: bool = True) -> None:
    """Compare a file with its graph by running both.

    Raises:
        GraphError: onnxruntime does not run the file, or its results differ; the node is named if it is known.
    """
    inputs = probe_inputs(gm, dynamic_batch=dynamic_batch)
    if stage_of(gm) is Stage.QUANTIZED:
        _verify_integers(gm, path, inputs)
        return
    expected = _run(gm, inputs)
    if expected is None:
        return  # nothing to compare with: the graph refuses such inputs
    found = _run_file(gm, path, inputs, [])
    least = FLOAT_DB if stage_of(gm) is Stage.FLOAT else LOWERED_DB
    worst = _worst(expected, found.outputs)
    if worst is None or worst[1] >= least or not _repeats(gm, inputs, expected):
        return
    node = _first_divergence(gm, path, inputs) if stage_of(gm) is Stage.FLOAT else None
    raise _differs(gm, node, worst)


@torch.no_grad()
def _run(gm: fx.GraphModule, inputs: tuple[Any, ...]) -> list[Tensor] | None:
    """The tensors that a graph returns; None if it fails: random inputs may be invalid."""
    try:
        return tensors_of(gm(*pytree.tree_map(lambda x: x.clone() if isinstance(x, Tensor) else x, inputs)))
    except (RuntimeError, IndexError, ValueError):
        return None


def _repeats(gm: fx.GraphModule, inputs: tuple[Any, ...], expected: list[Tensor]) -> bool:
    """Whether the graph gives the same results again; a graph with random numbers cannot be compared."""
    again = _worst(expected, _run(gm, inputs) or [])
    return again is None or again[1] == math.inf


def _worst(expected: list[Tensor], found: list[Tensor]) -> tuple[int, float] | None:
    """The output with the largest difference and its SQNR (infinite if equal); None without floats to compare.

    An output with another shape, or with NaN at other positions, counts as minus infinity.
    """
    if len(expected) != len(found):
        return None
    errors = [(n, _db(a, b)) for n, (a, b) in enumerate(zip(expected, found, strict=True)) if a.is_floating_point()]
    return min(errors, key=lambda pair: pair[1], default=None)


def _db(expected: Tensor, found: Tensor) -> float:
    if expected.shape != found.shape:
        return -math.inf
    a, b = expected.double(), found.double()
    if not torch.equal(a.isfinite(), b.isfinite()):
        return -math.inf
    a, b = a[a.isfinite()], b[b.isfinite()]
    signal, noise = float(a.square().sum()), float((a - b).square().sum())
    if noise <= 1e-12 * max(1, a.numel()) and signal <= noise:
        return math.inf  # zeros up to float rounding
    ratio = sqnr_db(signal, noise)
    return math.inf if not noise else -math.inf if ratio is None else ratio


def _verify_integers(gm: fx.GraphModule, path: Path, inputs: tuple[Any, ...]) -> None:
    names = [n.name for n in gm.graph.nodes if n.target is ops.quantize]
    try:
        found = _run_file(gm, path, inputs, names)
    except GraphError:
        if _run(gm, inputs) is None:
            return  # the graph refuses such inputs, too
        raise
    run = _OnFound(gm, found.inside)
    try:
        with torch.no_grad():
            expected = tensors_of(run.run(*inputs))
    except (RuntimeError, IndexError, ValueError):
        return  # nothing to compare with
    if run.off is not None:
        node, steps = run.off
        source = node.all_input_nodes[0]
        name = tensor_of(node.name)
        raise GraphError.at_node(
            source,
            why=f"onnxruntime's int8 kernel gives integers that are up to {steps} steps off, on random inputs",
            fix=f"keep it float: {_KEPT.format(name=name)}; {_ELSEWHERE}",
            step="to_onnx",
        )
    worst = _worst(expected, found.outputs)
    if worst is not None and worst[1] < FLOAT_DB and _repeats(gm, inputs, _run(gm, inputs) or []):
        raise _differs(gm, None, worst)


class _OnFound(fx.Interpreter):
    """Runs a QUANTIZED graph, but replaces every integer tensor by the one that onnxruntime computed."""

    def __init__(self, gm: fx.GraphModule, found: dict[str, Tensor]) -> None:
        super().__init__(gm)
        self._found = found
        self.off: tuple[fx.Node, int] | None = None

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        found = self._found.pop(n.name, None) if n.target is ops.quantize else None
        if found is None or found.shape != result.shape:
            return result
        if found.dtype == result.dtype and torch.equal(found, result):  # mostly: do not widen them
            return found
        steps = int((found.to(torch.int32) - result.to(torch.int32)).abs().max()) if found.numel() else 0
        allowed = STEPS if result.element_size() == 1 else WIDE_STEPS
        if steps > allowed and self.off is None:
            self.off = (n, steps)
        return found.to(result.dtype)


def _run_file(gm: fx.GraphModule, path: Path, inputs: tuple[Any, ...], inside: list[str]) -> _Found:
    """Run a file, with some of its inner tensors as additional outputs."""
    import onnxruntime as ort

    reveals = bool(inside) and file_bytes(path) < LARGE_FILE
    model = read_onnx(path, weights=reveals)
    own = [output.name for output in model.graph.output]
    if reveals:
        reveal(model, _kinds(model, set(inside)))
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = SILENT, torch.get_num_threads()
    set_exact_sums(options, model)
    what = f"onnxruntime {ort.__version__} does not run the file of {type(gm).__name__}"
    fix = f"{_FLOAT32 if _is_of_another_dtype(gm) else _WITHOUT}; {_ELSEWHERE}"
    try:
        with refusals_told(what, fix):
            source = model.SerializeToString() if reveals else str(path)
            session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
            if any("bfloat16" in tensor.type for tensor in (*session.get_inputs(), *session.get_outputs())):
                return _Found([], {})  # it loads; numpy has no bfloat16 to run it on
            names = [given.name for given in session.get_inputs()]
            feed = dict(zip(names, [x.numpy() for x in tensors_in(inputs)], strict=True))
            told = [o.name for o in session.get_outputs()]
            found = dict(zip(told, [torch.from_numpy(v) for v in session.run(None, feed)], strict=True))
    except InputError as error:
        raise GraphError(error.what, why=error.why, fix=error.fix, step="to_onnx") from error
    return _Found([found[name] for name in own], {name: found[name] for name in inside if name in found})


def _is_of_another_dtype(gm: fx.GraphModule) -> bool:
    """Whether a graph computes in another dtype than float32, for which onnxruntime lacks many kernels."""
    dtypes = {t.dtype for t in (*gm.parameters(), *gm.buffers())} | {n.meta.get(DTYPE) for n in gm.graph.nodes}
    return any(dtype is not None and dtype.is_floating_point and dtype is not torch.float32 for dtype in dtypes)


def _kinds(model: onnx.ModelProto, names: set[str]) -> dict[str, int]:
    """ONNX types of tensors that nodes of a model compute; results of operators on integers are left out."""
    import onnx

    kinds = integer_kinds(model)
    given = {name for node in model.graph.node for name in node.output} & names
    return {n: kinds.get(n, onnx.TensorProto.FLOAT) for n in given if n in kinds or not is_int8_name(n)}


def _first_divergence(gm: fx.GraphModule, path: Path, inputs: tuple[Any, ...]) -> fx.Node | None:
    """The first node after the last one whose values are found in the file; the export does not keep names."""
    if file_bytes(path) >= LARGE_FILE:
        return None
    found = _run_file(gm, path, inputs, _float_tensors(path)).inside.values()
    keeping = fx.Interpreter(gm, garbage_collect_values=False)
    with torch.no_grad():
        keeping.run(*inputs)
    behind = None
    for node in reversed([n for n in gm.graph.nodes if n.op not in ("placeholder", "get_attr", "output")]):
        value = keeping.env.get(node)
        if not isinstance(value, Tensor) or not value.is_floating_point():
            continue
        if any(value.shape == other.shape and _db(value, other) >= FLOAT_DB for other in found):
            break
        behind = node
    return behind


def _float_tensors(path: Path) -> list[str]:
    """All float tensors that nodes of a file compute, if onnx knows their type."""
    import onnx

    model = onnx.shape_inference.infer_shapes(read_onnx(path))
    floats = {v.name for v in model.graph.value_info if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT}
    return [name for node in model.graph.node for name in node.output if name in floats]


def _differs(gm: fx.GraphModule, node: fx.Node | None, worst: tuple[int, float]) -> GraphError:
    """The error for different results, at the node if it is known."""
    told = f"the file computes something else there ({worst[1]:.1f} dB at output {worst[0]}, on random inputs)"
    fix = f"write that operator in another way, or keep it out of the deployed graph; {_ELSEWHERE}"
    if node is not None:
        return GraphError.at_node(node, why=told, fix=fix, step="to_onnx")
    what = f"output {worst[0]} of {type(gm).__name__}"
    return GraphError(what, why=told.replace(" there", ""), fix=fix, step="to_onnx")
