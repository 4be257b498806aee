"""A float model and data in; a pruned one, its int8 form and a report out, the dense model measured beside them."""

from __future__ import annotations

import io
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx

from fxpasses.audit.audit_file import AuditReport, audit
from fxpasses.capturing.attempts import capture
from fxpasses.export.files import file_bytes, write_bytes_atomic
from fxpasses.export.onnx_writer.optimizer import optimize_onnx
from fxpasses.export.onnx_writer.write import to_onnx
from fxpasses.export.program import exported_program
from fxpasses.export.pt2.save_and_load import save
from fxpasses.export.torch_int8 import to_torch
from fxpasses.graph.meta_keys import DTYPE, SHAPE
from fxpasses.measure.latency import BenchResult
from fxpasses.measure.model_size import count_macs, count_parameters, module_bytes
from fxpasses.measure.runners import Runner, onnx_runner, torch_runner, torch_threads
from fxpasses.passes.fusion import fuse
from fxpasses.pruning.masks.masks import masks_of
from fxpasses.reports.document import Variant, build_report, variant_of, write_report
from fxpasses.reports.html.page import write_html

from .. import interruption
from ..folders.artifacts import FLOAT_ONNX, INT8_ONNX, INT8_PT2, REPORT_HTML, REPORT_JSON
from ..folders.measuring import FLOAT, INT8, SHORT_BENCHMARK, compared_on, time_runners
from ..given import PARITY_IMAGES, Input, default_threads
from ..options.overrides import check_overrides
from ..static.quantize_model import Settings, calibration_images, int8_graphs, parity_on
from ..terminal import Terminal
from .account import DENSE, ZEROS_ARE_NOT_FASTER, Artifact, account_of
from .recipe import RECIPE, write_recipe
from .recovery import recover
from .steps import Pruned, Pruning, check_something_went, prune

FLOAT_PT2 = "model.fp32.pt2"
MASKS = "masks.safetensors"


@dataclass(frozen=True)
class PruneOutcome:
    """What :func:`prune_into` made, for the summary on the terminal."""

    report: dict[str, Any]
    audit: AuditReport | None


def prune_into(
    folder: Path, given: Input, pruning: Pruning, settings: Settings, quantize: bool, terminal: Terminal
) -> PruneOutcome:
    """Prune, recover, quantize if asked to, and write every artifact and the report into ``folder``.

    Raises:
        FxPassesError: whatever is wrong with the model, the data or the settings.
    """
    threads = default_threads(settings.threads)
    with torch_threads(threads), tempfile.TemporaryDirectory() as scratch:
        with terminal.step("capture and fuse"):
            graph = capture(given.model.module, given.model.example_inputs())
            dense = fuse(graph)
        check_overrides(dense, settings.config)
        pruned = prune(graph, given, pruning, terminal)
        check_something_went(pruned, pruning)
        recover(pruned, dense, given.data, pruning, terminal)
        small = fuse(pruned.graph)
        _save_float(small, pruned, folder, terminal)
        write_recipe(pruning, folder / RECIPE)
        artifacts = [*_floats(dense, Path(scratch), DENSE, given, settings, terminal)]
        artifacts += _floats(small, folder, "", given, settings, terminal)
        lowered = Lowered()
        if quantize:
            lowered = _quantized(small, dense, artifacts, folder, Path(scratch), given, settings, terminal)
        artifacts = [_at_threads(a, threads) for a in artifacts]
        variants, latencies = _measured(artifacts, given, settings, terminal)
        account = account_of(pruned, pruning, artifacts, latencies, folder, Path(scratch))
    report = _report(given, pruning, settings, lowered, variants, account, terminal)
    write_report(report, folder / REPORT_JSON)
    write_html(report, folder / REPORT_HTML)
    interruption.check()
    return PruneOutcome(report, lowered.audit)


@dataclass(frozen=True)
class Lowered:
    """The int8 graph of the pruned model and what was found out about it; nothing where nothing was quantized."""

    int8: fx.GraphModule | None = None
    parity: dict[str, Any] | None = None
    audit: AuditReport | None = None


def _quantized(
    small: fx.GraphModule,
    dense: fx.GraphModule,
    artifacts: list[Artifact],
    folder: Path,
    scratch: Path,
    given: Input,
    settings: Settings,
    terminal: Terminal,
) -> Lowered:
    """Quantize both, add what is to be measured to ``artifacts``, and check the pruned one."""
    images = calibration_images(given.data, settings)
    int8, made = _int8(small, folder, "", artifacts[2].macs, given, settings, images, terminal)
    _, also = _int8(dense, scratch, DENSE, artifacts[0].macs, given, settings, images, terminal)
    artifacts += [*made, *also]
    limit = min(PARITY_IMAGES, settings.evaluation_images)
    parity = parity_on(int8, folder / INT8_ONNX, given.data, limit, terminal).to_json()
    with terminal.step("audit"):
        return Lowered(int8, parity, audit(folder / INT8_ONNX))


def _report(
    given: Input,
    pruning: Pruning,
    settings: Settings,
    lowered: Lowered,
    variants: Sequence[Variant],
    account: dict[str, Any],
    terminal: Terminal,
) -> dict[str, Any]:
    return build_report(
        model=given.model.name,
        data=given.data.name,
        target=None if lowered.int8 is None else settings.config.target,
        variants=variants,
        parity=lowered.parity,
        graph=lowered.int8,
        details={
            "command": shlex.join(["fxpasses", *sys.argv[1:]]),
            "model_details": given.model_details,
            "data_details": {
                **given.data_details,
                "evaluation_images": min(settings.evaluation_images, given.data.evaluation_images),
            },
            "durations": dict(terminal.durations),
            "pruning": account,
            **({} if lowered.audit is None else {"audit": lowered.audit.to_json()}),
            "warnings": [*terminal.warnings, *_warnings(given, pruning)],
        },
    )


def _save_float(small: fx.GraphModule, pruned: Pruned, folder: Path, terminal: Terminal) -> None:
    """The pruned model for PyTorch, as torch.export writes it, and the masks it was made with, if any."""
    masks = masks_of(pruned.graph)
    if masks:
        masks.save(folder / MASKS)
    example = tuple(torch.zeros(2, *size[1:], dtype=dtype) for size, dtype in _shapes(small))
    with terminal.step("save .pt2"), torch.no_grad():
        batch = tuple({0: torch.export.Dim("batch")} for _ in example)
        program = torch.export.export(small, example, dynamic_shapes=batch)
        buffer = io.BytesIO()  # given a path, torch aborts the process when the disk is full
        torch.export.save(program, buffer)
        write_bytes_atomic(folder / FLOAT_PT2, buffer.getbuffer())


def _shapes(graph: fx.GraphModule) -> Iterator[tuple[tuple[int, ...], torch.dtype]]:
    return ((n.meta[SHAPE], n.meta[DTYPE]) for n in graph.graph.nodes if n.op == "placeholder")


def _floats(
    graph: fx.GraphModule, folder: Path, prefix: str, given: Input, settings: Settings, terminal: Terminal
) -> Iterator[Artifact]:
    with terminal.step("export float ONNX"):
        path = to_onnx(graph, folder / FLOAT_ONNX)
        optimize_onnx(path, path, settings.optimizer)
    with terminal.step("count multiply-accumulates"):
        macs = count_macs(graph, given.model.example_inputs(batch=1)).macs
    runner = torch_runner(graph, FLOAT, name=f"{prefix}torch {FLOAT}")
    yield Artifact(runner, graph, module_bytes(graph), macs, None if prefix else FLOAT_PT2)
    session = onnx_runner(path, FLOAT, name=f"{prefix}onnxruntime {FLOAT}")
    yield Artifact(session, graph, file_bytes(path), macs, None if prefix else FLOAT_ONNX)


def _int8(
    graph: fx.GraphModule,
    folder: Path,
    prefix: str,
    macs: int | None,
    given: Input,
    settings: Settings,
    images: int,
    terminal: Terminal,
) -> tuple[fx.GraphModule, list[Artifact]]:
    batches: Iterator[Tensor] = given.data.calibration(images, seed=settings.seed)
    int8 = int8_graphs(graph, batches, images, settings.config, terminal).graph
    with terminal.step("export int8 ONNX"):
        program = exported_program(int8)
        path = to_onnx(int8, folder / INT8_ONNX, form=settings.form, program=program)
    if not prefix:
        save(int8, folder / INT8_PT2, program=program)
    runners: tuple[Runner, ...] = (
        torch_runner(to_torch(int8), INT8, name=f"{prefix}torch {INT8}"),
        onnx_runner(path, INT8, name=f"{prefix}onnxruntime {INT8}"),
    )
    files = (None, None) if prefix else (INT8_PT2, INT8_ONNX)
    sizes = (module_bytes(int8), file_bytes(path))
    return int8, [Artifact(r, int8, s, macs, f) for r, s, f in zip(runners, sizes, files, strict=True)]


def _at_threads(artifact: Artifact, threads: int) -> Artifact:
    return Artifact(
        artifact.runner.at_threads(threads), artifact.graph, artifact.size_bytes, artifact.macs, artifact.file
    )


def _measured(
    artifacts: Sequence[Artifact], given: Input, settings: Settings, terminal: Terminal
) -> tuple[list[Variant], BenchResult | None]:
    images = min(settings.evaluation_images, given.data.evaluation_images)
    runners = [artifact.runner for artifact in artifacts]
    compared = compared_on(runners, given, images, terminal)
    latencies = None
    if settings.benchmark:
        latencies = time_runners(runners, given.model.example_inputs, SHORT_BENCHMARK, terminal)
    variants = [
        variant_of(
            a.runner,
            size_bytes=a.size_bytes,
            parameters=count_parameters(a.graph),
            macs=a.macs,
            comparison=compared[a.runner.name],
            bench=latencies,
            file=a.file,
        )
        for a in artifacts
    ]
    return variants, latencies


def _warnings(given: Input, pruning: Pruning) -> list[str]:
    found = [] if given.model.pretrained else ["the weights are random: accuracy and agreement say nothing"]
    return found if pruning.is_structured else [*found, ZEROS_ARE_NOT_FASTER]
