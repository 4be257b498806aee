"""A float model and data in; a pruned one, its int8 form and a report out, the dense model measured beside them."""

from __future__ import annotations

import io
import shlex
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx

from fxpasses.export.accuracy import compare
from fxpasses.export.audit import AuditReport, audit
from fxpasses.export.latency import BenchResult
from fxpasses.export.model_size import count_macs, count_parameters, file_bytes, module_bytes
from fxpasses.export.onnx_file import to_onnx
from fxpasses.export.optimizer import optimize_onnx
from fxpasses.export.pt2_file import save
from fxpasses.export.report import Variant, build_report, variant_of, write_report
from fxpasses.export.report_html import write_html
from fxpasses.export.runners import Runner, onnx_runner, torch_runner, torch_threads
from fxpasses.export.torch_int8 import to_torch
from fxpasses.fusion import fuse
from fxpasses.pruning.masks import masks_of
from fxpasses.tracing import capture

from . import interruption
from .artifacts import FLOAT_ONNX, INT8_ONNX, INT8_PT2, REPORT_HTML, REPORT_JSON
from .measuring import EVALUATION_BATCH, FLOAT, INT8, SHORT_BENCHMARK, time_runners
from .pipeline import (
    PARITY_IMAGES,
    Input,
    Settings,
    calibration_images,
    check_overrides,
    default_threads,
    int8_graph,
    parity_on,
)
from .prune_recipe import RECIPE, write_recipe
from .pruning_steps import Pruned, Pruning, prune, recover
from .terminal import Terminal

FLOAT_PT2 = "model.fp32.pt2"
MASKS = "masks.safetensors"
DENSE = "dense "
ZEROS_ARE_NOT_FASTER = (
    "zeros that are scattered, N:M or in blocks do not speed up dense CPU kernels, which multiply by them all the same"
)


@dataclass(frozen=True)
class Artifact:
    """One thing that is measured: its runner, the graph its weights and products are counted on, its file."""

    runner: Runner
    graph: fx.GraphModule
    size_bytes: int
    macs: int | None
    file: str | None


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
        images = calibration_images(given.data, settings) if quantize else 0
        with terminal.step("capture and fuse"):
            graph = capture(given.model.module, given.model.example_inputs())
            dense = fuse(graph)
        check_overrides(dense, settings.config)
        pruned = prune(graph, given, pruning, terminal)
        recover(pruned, dense, given.data, pruning, terminal)
        small = fuse(pruned.graph)
        _save_float(small, pruned, folder, terminal)
        write_recipe(pruning, folder / RECIPE)
        artifacts = [*_floats(dense, Path(scratch), DENSE, given, settings, terminal)]
        artifacts += _floats(small, folder, "", given, settings, terminal)
        int8, audited, found = None, None, None
        if quantize:
            int8, made = _int8(small, folder, "", artifacts[2].macs, given, settings, images, terminal)
            artifacts += made
            artifacts += _int8(dense, Path(scratch), DENSE, artifacts[0].macs, given, settings, images, terminal)[1]
            limit = min(PARITY_IMAGES, settings.evaluation_images)
            found = parity_on(int8, folder / INT8_ONNX, given.data, limit, terminal).to_json()
            with terminal.step("audit"):
                audited = audit(folder / INT8_ONNX)
        artifacts = [_at_threads(a, threads) for a in artifacts]
        variants, latencies = _measured(artifacts, given, settings, terminal)
        account = _account(pruned, pruning, artifacts, latencies, folder, Path(scratch))
    report = build_report(
        model=given.model.name,
        data=given.data.name,
        target=settings.config.target if quantize else None,
        variants=variants,
        parity=found,
        graph=int8,
        details={
            "command": shlex.join(["fxpasses", *sys.argv[1:]]),
            "model_details": given.model_details,
            "data_details": {**given.data_details, "evaluation_images": settings.evaluation_images},
            "durations": dict(terminal.durations),
            "pruning": account,
            **({} if audited is None else {"audit": audited.to_json()}),
            "warnings": [*terminal.warnings, *_warnings(given, pruning)],
        },
    )
    write_report(report, folder / REPORT_JSON)
    write_html(report, folder / REPORT_HTML)
    interruption.check()
    return PruneOutcome(report, audited)


def _save_float(small: fx.GraphModule, pruned: Pruned, folder: Path, terminal: Terminal) -> None:
    """The pruned model for PyTorch, as torch.export writes it, and the masks it was made with, if any."""
    masks = masks_of(pruned.graph)
    if masks:
        masks.save(folder / MASKS)
    example = tuple(torch.zeros(2, *size[1:], dtype=dtype) for size, dtype in _shapes(small))
    with terminal.step("save .pt2"), torch.no_grad():
        batch = tuple({0: torch.export.Dim("batch")} for _ in example)
        program = torch.export.export(small, example, dynamic_shapes=batch)
        torch.export.save(program, folder / FLOAT_PT2)


def _shapes(graph: fx.GraphModule) -> Iterator[tuple[tuple[int, ...], torch.dtype]]:
    return ((n.meta["shape"], n.meta["dtype"]) for n in graph.graph.nodes if n.op == "placeholder")


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
    int8 = int8_graph(graph, batches, images, settings.config, terminal)
    with terminal.step("export int8 ONNX"):
        path = to_onnx(int8, folder / INT8_ONNX, form=settings.form)
    if not prefix:
        save(int8, folder / INT8_PT2)
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
    with terminal.step("accuracy", images) as step:
        compared = compare(runners, given.data.evaluation(EVALUATION_BATCH, images), progress=step.at, total=images)
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


def _account(
    pruned: Pruned,
    pruning: Pruning,
    artifacts: Sequence[Artifact],
    latencies: BenchResult | None,
    folder: Path,
    scratch: Path,
) -> dict[str, Any]:
    """report.json's ``pruning``."""
    names = [artifact.runner.name for artifact in artifacts]
    speedups = {}
    for name in names:
        if latencies is not None and DENSE + name in names:
            ratio = latencies.ratio(DENSE + name, name, **_first_condition(latencies))
            speedups[name] = {"median": ratio.median, "q25": ratio.q25, "q75": ratio.q75}
    return {
        "criterion": pruning.criterion,
        "granularity": pruning.granularity,
        "ratio": pruning.ratio,
        "budget": None if pruning.budget is None else asdict(pruning.budget),
        "scope": pruning.scope,
        "round_to": pruning.round_to,
        "keep_joined": pruning.keep_joined,
        "through_layer_norm": pruning.through_layer_norm,
        "dense": _size(artifacts[1], scratch / FLOAT_ONNX),
        "pruned": _size(artifacts[3], folder / FLOAT_ONNX),
        "speedup_vs_dense": speedups,
        "remark": None if pruning.is_structured else ZEROS_ARE_NOT_FASTER,
        **pruned.account,
    }


def _first_condition(latencies: BenchResult) -> dict[str, int]:
    return {"batch": latencies.cells[0].batch, "threads": latencies.cells[0].threads}


def _size(artifact: Artifact, path: Path) -> dict[str, Any]:
    counted = count_parameters(artifact.graph)
    return {
        "params": counted.params,
        "nonzero_params": counted.nonzero,
        "sparsity": round(1 - counted.nonzero / max(counted.params, 1), 6),
        "macs": artifact.macs,
        "size_bytes": artifact.size_bytes,
        "compressed_bytes": compressed_bytes(path),
    }


def compressed_bytes(path: Path) -> int:
    """What a zip of the file takes: zeros cost next to nothing there."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        archive.write(path, path.name)
    return buffer.getbuffer().nbytes


def _warnings(given: Input, pruning: Pruning) -> list[str]:
    found = [] if given.model.pretrained else ["the weights are random: accuracy and agreement say nothing"]
    return found if pruning.is_structured else [*found, ZEROS_ARE_NOT_FASTER]
