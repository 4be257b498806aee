"""``to_onnx``: a QUANTIZED or FLOAT graph as an ONNX file.

The dynamo exporter emits the graph; ``fxpasses::quantize`` becomes QuantizeLinear and so on with the same scales, and
:mod:`fxpasses.export.onnx_forms.int8_forms` then rewrites a few operators in the form that onnxruntime's int8 rules
need. ``onnx.checker`` checks the file before it gets its name.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import fx
from torch.export import ExportedProgram

from fxpasses.errors import GraphError, InputError
from fxpasses.graph.stages import Stage, stage_of
from fxpasses.quantization.numbers import ops
from fxpasses.signature.examples import tensors_in
from fxpasses.signature.outputs import only_tensors, output_tensors, returns_only_tensors, with_plain_outputs

from ..collector import collector_paused
from ..files import atomic_write
from ..metadata import metadata_of, session_options_of
from ..probe_inputs import probe_inputs
from ..program import check_is_of, example_inputs, exported_program, size_names
from ..wide_activations import WIDE_OPSET, check_wide_file, has_wide_activations
from . import large as onnx_large
from .decomposed import as_decomposed
from .decompositions import kept_decompositions
from .limits import IN_TORCH, require_expressible
from .opsets import DEFAULT_OPSET, OLDER, OPSETS, default_opset, opset_needed, too_old
from .output_names import name_outputs
from .registry import kept_registry

if TYPE_CHECKING:
    import onnx_ir


@collector_paused()
def to_onnx(
    gm: fx.GraphModule,
    path: str | Path,
    *,
    form: Literal["qdq", "qoperator"] = "qdq",
    opset: int | None = None,
    dynamic_batch: bool = True,
    program: ExportedProgram | None = None,
    verify: bool = True,
    external_data: bool | None = None,
) -> Path:
    """Write a graph as ONNX.

    Args:
        gm: a QUANTIZED graph (an int8 file) or a FLOAT one (a float file).
        path: the file to write; an existing one is replaced only when the new one is complete and checked.
        form: ``"qdq"`` (quantize/dequantize pairs, which onnxruntime fuses) or ``"qoperator"`` (QLinearConv and so on).
        opset: version of the default ONNX domain, 13 to 23; 13 to 17 for older runtimes. Default: 18; 20 with a GELU,
            which is then one operator; 21 with 4-bit weights, which are then stored two to a byte, or 16-bit
            activations; later if the graph needs a later operator.
        dynamic_batch: whether the free sizes of the graph (the batch, and sizes freed at capture) are free in the file.
        program: the result of :func:`fxpasses.export.exported_program` for ``gm``, with the same ``dynamic_batch``.
        verify: whether to run the file once in onnxruntime beside the graph, before it takes its name; one of opset 13
            to 17 also beside that of opset 18, which must give the same numbers.
        external_data: whether weights are in a second file, ``PATH.data``, to be kept beside the first. Default: only
            if they do not fit into one file of 2 GB.

    Raises:
        GraphError: the graph is in another stage, the exporter cannot express one of its nodes, or the file does not
            run or gives other results than the graph; or a node has no form in the opset. The node is named if it is
            known.
        InputError: the file cannot be written, form or opset is unknown, or ``program`` is of another graph.
    """
    _check_asked(gm, form, opset)
    require_expressible(gm)
    from .node_notes import note_nodes

    model = _in_form(gm, form, opset, dynamic_batch, program)
    newer = _in_older_opset(model, opset) if opset is not None and opset in OLDER else None
    note_nodes(model, gm)
    if not verify:
        return write_model(model, Path(path), None, external_data)
    check = partial(_verified, gm, newer, dynamic_batch)
    return write_model(model, Path(path), check, external_data)


def _in_form(
    gm: fx.GraphModule, form: str, opset: int | None, dynamic_batch: bool, program: ExportedProgram | None
) -> onnx_ir.Model:
    """The model in a form and an opset that the exporter writes: 18 if an older one is asked for."""
    from ..onnx_forms.nibbles import NIBBLE_OPSET, group_size_of, has_nibbles, pack_nibbles

    packs = (opset is None or opset >= NIBBLE_OPSET) and stage_of(gm) is Stage.QUANTIZED and has_nibbles(gm)
    if wide := has_wide_activations(gm):
        check_wide_file(form, opset)
    first = opset or (NIBBLE_OPSET if packs else WIDE_OPSET if wide else default_opset(gm))
    first = max(first, OPSETS[0])
    model = onnx_model(gm, opset=first, dynamic_batch=dynamic_batch, program=program)
    if (newer := opset_needed(model, first)) is not None:
        if opset is not None:
            raise too_old(opset, *newer)
        model = onnx_model(gm, opset=newer[1], dynamic_batch=dynamic_batch, program=program)
    if form == "qoperator":
        from ..onnx_forms.qoperator import to_qoperator

        to_qoperator(model)
    if packs:
        pack_nibbles(model, group_size_of(gm))
    return model


def _in_older_opset(model: onnx_ir.Model, opset: int) -> bytes | None:
    """Rewrite a model for an older opset; return what it was before, or None if it is too large for one message."""
    import onnx_ir

    from ..older_opsets.lower import to_older_opset
    from .node_notes import ORIGINS

    def name_of(node: onnx_ir.Node) -> str:
        origin = model.meta[ORIGINS].get(str(node.outputs[0].name))
        return f"node {node.name!r}" if origin is None else f"node {origin.node!r}"

    is_small = onnx_large.weight_bytes(model) <= onnx_large.LARGEST_MESSAGE
    before = onnx_ir.to_proto(model).SerializeToString() if is_small else None
    to_older_opset(model, opset, name_of)
    return before


def _verified(gm: fx.GraphModule, newer: bytes | None, dynamic_batch: bool, path: Path) -> None:
    """Raise GraphError if a file has other results than its graph, or than the model before it was rewritten."""
    from ..older_opsets.same_results import require_same_results
    from .verify import verify_onnx

    verify_onnx(gm, path, dynamic_batch=dynamic_batch)
    if newer is not None:
        require_same_results(newer, path, tensors_in(probe_inputs(gm, dynamic_batch=dynamic_batch)))


def _check_asked(gm: fx.GraphModule, form: str, opset: int | None) -> None:
    if form not in ("qdq", "qoperator"):
        raise InputError(f"form {form!r}", why="there is no such ONNX form", fix="use 'qdq' or 'qoperator'")
    if opset is not None and opset not in (*OLDER, *OPSETS):
        raise InputError(
            f"opset {opset}",
            why=f"files have {OLDER[0]} to {OPSETS[-1]}",
            fix=f"leave it out ({DEFAULT_OPSET}), or use one of those",
        )
    if stage_of(gm) not in (Stage.FLOAT, Stage.QUANTIZED, Stage.LOWERED):
        raise GraphError(
            f"to_onnx got a graph in stage {stage_of(gm)}",
            why="only FLOAT, QUANTIZED and LOWERED graphs have an ONNX form",
            fix="fx.convert(graph), or export the float graph",
            step="to_onnx",
        )


def onnx_model(
    gm: fx.GraphModule,
    *,
    opset: int = DEFAULT_OPSET,
    dynamic_batch: bool = True,
    program: ExportedProgram | None = None,
) -> onnx_ir.Model:
    """The ONNX model of a graph in memory; its tensors have the names of the graph."""
    from ..onnx_forms.int8_forms import mark_integers, settle_forms
    from ..onnx_forms.split_slices import slice_splits
    from ..onnx_forms.transposed_casts import part_casts_from_products
    from .node_notes import ORIGINS, find_origins
    from .simplify import inline, simplify

    if program is not None:
        check_is_of(program, gm)
    model = _run_exporter(gm, opset, dynamic_batch, program)
    inline(model)
    model.meta[ORIGINS] = find_origins(model)
    mark_integers(model, [n.name for n in gm.graph.nodes if n.target is ops.quantize])
    slice_splits(model)
    with quiet_exporter():
        simplify(model)
    settle_forms(model, shares_weights=stage_of(gm) is Stage.QUANTIZED and not session_options_of(gm))
    part_casts_from_products(model)
    name_outputs(model, output_tensors(gm))
    model.metadata_props.update(metadata_of(gm))
    return model


def write_model(
    model: onnx_ir.Model, path: Path, check: Callable[[Path], None] | None = None, weights_beside: bool | None = None
) -> Path:
    """Check a model, write it beside ``path``, call ``check`` on that file, then rename it."""
    import onnx
    import onnx_ir

    if weights_beside or (weights_beside is None and onnx_large.weight_bytes(model) > onnx_large.LARGEST_MESSAGE):
        return onnx_large.write_with_weights_beside(model, path, check)
    proto = onnx_ir.to_proto(model)
    try:
        onnx.checker.check_model(proto, full_check=False)
    except onnx.checker.ValidationError as error:
        raise onnx_large.not_valid(path, error) from error
    with atomic_write(path) as temporary:
        temporary.write_bytes(proto.SerializeToString())
        if check is not None:
            check(temporary)
    return path


def _run_exporter(
    gm: fx.GraphModule, opset: int, dynamic_batch: bool, exported: ExportedProgram | None
) -> onnx_ir.Model:
    from .translations.every import every_translation

    if not returns_only_tensors(gm):
        gm, exported = only_tensors(gm), None
    inputs = example_inputs(gm, dynamic=dynamic_batch)
    try:
        with quiet_exporter(), kept_registry(), kept_decompositions():
            program = torch.onnx.export(
                _without_a_second_trace(gm, dynamic_batch, exported),
                inputs,
                dynamo=True,
                opset_version=opset,
                dynamic_shapes=size_names(gm) if dynamic_batch else None,
                custom_translation_table=every_translation(opset),
                optimize=False,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise GraphError(
            f"{type(gm).__name__} cannot be exported to ONNX",
            why=_first_line(error),
            fix=_remedy(gm, opset, dynamic_batch),
            step="to_onnx",
        ) from error
    assert program is not None
    return program.model


def _without_a_second_trace(
    gm: fx.GraphModule, dynamic_batch: bool, exported: ExportedProgram | None
) -> ExportedProgram | fx.GraphModule:
    if exported is None:
        try:
            exported = exported_program(gm, dynamic_batch=dynamic_batch)
        except (
            GraphError,
            AssertionError,
            RuntimeError,
            TypeError,
            ValueError,
        ):  # the exporter knows other ways to capture
            return with_plain_outputs(gm)
    return as_decomposed(exported)


def _remedy(gm: fx.GraphModule, opset: int, dynamic_batch: bool) -> str:
    """A remedy that works: a fixed batch is tried."""
    if dynamic_batch:
        with contextlib.suppress(GraphError):
            _run_exporter(gm, opset, False, None)
            return "export with dynamic_batch=False"
    return f"keep that operator out of the deployed graph, or {IN_TORCH}"


def _first_line(error: BaseException) -> str:
    """The first line of the innermost cause: the exporter wraps the original exception."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    lines = [line for line in str(cause).splitlines() if line.strip()]
    return lines[0] if lines else type(cause).__name__


@contextlib.contextmanager
def quiet_exporter() -> Iterator[None]:
    """Silence the exporter's progress and deprecation warnings."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        level = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(level)
