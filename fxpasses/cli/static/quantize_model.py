"""Quantizes a float model, and writes a folder of artifacts and a report: shared by ``quantize`` and ``quickstart``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, fx

from fxpasses.agreement.parity_check import ParityReport, parity
from fxpasses.audit.audit_file import AuditReport, audit
from fxpasses.export.onnx_writer.optimizer import Optimizer, optimize_onnx
from fxpasses.export.onnx_writer.write import to_onnx
from fxpasses.export.program import exported_program
from fxpasses.export.pt2.save_and_load import save
from fxpasses.export.torch_int8 import to_torch
from fxpasses.export.wide_activations import WIDE_REMARK
from fxpasses.graph.devices import usable_device
from fxpasses.machine.environment import why_unsuited
from fxpasses.machine.kernel_level import kernel_levels
from fxpasses.measure.model_size import MacCount
from fxpasses.measure.runners import ONNXRUNTIME, torch_threads
from fxpasses.measure.tensor_sqnr import note_tensor_errors
from fxpasses.models.data.data_source import DataSource, check_count
from fxpasses.passes.fusion import fuse
from fxpasses.quantization.all_float import all_float_warning
from fxpasses.quantization.config import LARGEST_BITS, QuantConfig
from fxpasses.quantization.recipe import Int8Graphs, Place, Run, quantize_graph
from fxpasses.reports.document import build_report
from fxpasses.reports.lowered import slower_than_float
from fxpasses.sensitivity.search.placement import Placement

from ..folders.artifacts import FLOAT_ONNX, INT8_ONNX, INT8_PT2
from ..folders.captured_model import captured_model
from ..folders.detectors import write_whole
from ..folders.measuring import Measured, macs_of, measure, why_odd
from ..folders.output_check import checked_outputs
from ..folders.reporting import random_weights, run_details, write_reports
from ..folders.static_artifacts import static_artifacts
from ..folders.stored import store_in
from ..given import (
    DEFAULT_CALIBRATION_IMAGES,
    DEFAULT_EVALUATION_IMAGES,
    PARITY_BATCH,
    PARITY_IMAGES,
    PARITY_NODE_IMAGES,
    Input,
    default_threads,
)
from ..options.overrides import check_overrides
from ..options.shared import check_threads
from ..terminal import Terminal
from .made_graphs import Quantized
from .placing import ALL, MEASURED, check_placement, measured_placement
from .qat import Qat, trained

_TENSOR_IMAGES = 8
"""Tensors have thousands of values in each."""


@dataclass(frozen=True)
class Settings:
    """Settings of one quantize run.

    Attributes:
        config: settings of the quantization.
        calibration_images: None for ``DEFAULT_CALIBRATION_IMAGES``, or as many as there are.
        evaluation_images: largest number of images, spread over the data.
        form, optimizer: form of the int8 ONNX file, and optimizer of the float one.
        opset: opset of both; None for that of `to_onnx`.
        benchmark: whether to measure latency.
        threads: number of threads to compute on; None for all.
        seed: seed of the choice of calibration images.
        placement: ``"all"`` operators in int8 that can be, or ``"measured"``: only those that make the file faster.
        dynamic_size: whether height and width of images are free.
        qat: settings of the training; None for calibration alone.
        device: the device of calibration and evaluation, as ``"cuda"``.
    """

    config: QuantConfig
    calibration_images: int | None = None
    evaluation_images: int = DEFAULT_EVALUATION_IMAGES
    form: Literal["qdq", "qoperator"] = "qdq"
    opset: int | None = None
    optimizer: Optimizer = "onnxruntime"
    benchmark: bool = True
    threads: int | None = None
    seed: int = 0
    placement: str = ALL
    dynamic_size: bool = False
    qat: Qat | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        usable_device(self.device)
        check_placement(self.placement, self.config)
        check_count("evaluation images", self.evaluation_images)
        check_threads(self.threads)


@dataclass(frozen=True)
class Outcome:
    """Result of :func:`quantize_into`, for the summary on the terminal."""

    report: Mapping[str, Any]
    audit: AuditReport


def quantize_into(folder: Path, given: Input, settings: Settings, terminal: Terminal) -> Outcome:
    """Quantize and write every artifact and the report into ``folder``.

    Raises:
        FxPassesError: whatever is wrong with the model, the data or the settings.
    """
    threads = default_threads(settings.threads)
    with torch_threads(threads):
        made = quantized(given, settings, terminal)
        graph, int8 = made.graph, made.int8.graph
        if settings.qat is None:  # training made other weights of it
            _note_errors(graph, int8, given.data, terminal)
        _export(folder, graph, int8, settings, terminal)
        whole = write_whole(folder, given.model, int8, terminal)
        module = to_torch(int8)
        compared = min(PARITY_IMAGES, settings.evaluation_images)
        found = parity_on(int8, folder / INT8_ONNX, given.data, compared, terminal)
        integers = store_in(folder, int8, module, given.data)
        with terminal.step("audit"):
            audited = audit(folder / INT8_ONNX)
        checked = checked_outputs(graph, module, given.data, settings.evaluation_images, terminal)
        of_outputs = [*filter(None, [all_float_warning(int8)]), *checked["warnings"]]
        macs = macs_of(graph, given, terminal)
        how: dict[str, Any] = {"threads": threads, "nearest": made.int8.nearest, "device": settings.device}
        artifacts = list(static_artifacts(folder, graph, int8, module, macs=macs.macs, **how))
        measured = measure(artifacts, given, settings.evaluation_images, settings.benchmark, terminal)
    report = build_report(
        model=given.model.name,
        data=given.data.name,
        target=settings.config.target,
        variants=measured.variants,
        parity=found.to_json(),
        graph=int8,
        details={
            **run_details(given, settings.evaluation_images, measured, terminal, made.images),
            "audit": audited.to_json(),
            **integers,
            **{"kernels": kernel_levels(int8), "outputs": checked["outputs"], "macs": macs.to_json()},
            **made.details(),
            **whole,
            "warnings": terminal.warnings + _warnings(given, settings, measured, macs, of_outputs),
        },
    )
    write_reports(report, folder)
    return Outcome(report, audited)


def quantized(given: Input, settings: Settings, terminal: Terminal) -> Quantized:
    """Capture, fuse and quantize."""
    images = calibration_images(given.data, settings)
    batches = given.data.calibration(images, seed=settings.seed)  # checks the number before anything slow
    with terminal.step("capture and fuse"):
        graph = fuse(captured_model(given.model, dynamic_size=settings.dynamic_size))
    check_overrides(graph, settings.config)
    if settings.qat is not None:
        learned, curve = trained(given, settings, settings.qat, terminal)
        return Quantized(graph, Int8Graphs(learned), images, training=curve)
    placed: list[Placement] = []

    def place(observed: fx.GraphModule, config: QuantConfig) -> QuantConfig:
        placed.append(measured_placement(observed, config, given.model.example_inputs, terminal))
        return placed[0].config

    chooses = place if settings.placement == MEASURED else None
    int8 = int8_graphs(graph, batches, images, settings.config, terminal, chooses, settings.device)
    return Quantized(graph, int8, images, placed[0] if placed else None)


def calibration_images(data: DataSource, settings: Settings) -> int:
    """Number of calibration images."""
    if settings.calibration_images is not None:
        return settings.calibration_images
    return min(DEFAULT_CALIBRATION_IMAGES, data.calibration_images)


def int8_graphs(
    graph: fx.GraphModule,
    batches: Iterable[Tensor],
    images: int,
    config: QuantConfig,
    terminal: Terminal,
    place: Place | None = None,
    device: str = "cpu",
) -> Int8Graphs:
    """Quantize a fused FLOAT graph, calibrated on ``device``; ``place`` chooses what stays float."""
    run = Run(terminal, images, to_torch, device)
    return quantize_graph(graph, batches, config, place=place, keep_nearest=True, run=run)


def parity_on(
    int8: fx.GraphModule,
    onnx_path: Path,
    data: DataSource,
    images: int,
    terminal: Terminal,
    node_images: int = PARITY_NODE_IMAGES,
) -> ParityReport:
    """Compare both runtimes on ``images`` images of the evaluation split, or as many as there are."""
    images = min(images, data.evaluation_images)
    batches = (inputs for inputs, _ in data.evaluation(PARITY_BATCH, images))
    with terminal.step("parity", images) as step:
        return parity(int8, batches, onnx_path=onnx_path, node_images=node_images, progress=step.advance)


def _note_errors(graph: fx.GraphModule, int8: fx.GraphModule, data: DataSource, terminal: Terminal) -> None:
    """Compare each tensor with its float twin, on a few images of the evaluation split."""
    with terminal.step("compare tensors"):
        images = min(_TENSOR_IMAGES, data.evaluation_images)
        note_tensor_errors(graph, int8, (inputs for inputs, _ in data.evaluation(PARITY_BATCH, images)))


def _export(folder: Path, graph: fx.GraphModule, int8: fx.GraphModule, settings: Settings, terminal: Terminal) -> None:
    with terminal.step("export float ONNX"):
        to_onnx(graph, folder / FLOAT_ONNX, opset=settings.opset)
        optimize_onnx(folder / FLOAT_ONNX, folder / FLOAT_ONNX, settings.optimizer)
    with terminal.step("export int8 ONNX"):
        program = exported_program(int8)
        to_onnx(int8, folder / INT8_ONNX, form=settings.form, opset=settings.opset, program=program)
    with terminal.step("save .pt2"):
        save(int8, folder / INT8_PT2, program=program)


def _warnings(
    given: Input, settings: Settings, measured: Measured, macs: MacCount, of_outputs: Sequence[str]
) -> list[str]:
    """Warnings for the user. ``of_outputs``, on the distance from float, is left out if float was never trained, or did
    not teach int8.
    """
    config = settings.config
    if settings.qat is not None and given.metric is not None and not given.metric.classes:
        found = random_weights(given.model)
    elif given.model.pretrained or settings.qat is None:
        found = [*of_outputs, *random_weights(given.model)]
    else:
        found = ["int8 was trained from random weights; fp32 beside it was not, so agreement with it says nothing"]
    if unsuited := why_unsuited(config.target):
        found.append(f"target {config.target}: {unsuited}")
    if config.activation_bits != LARGEST_BITS:
        found.append(WIDE_REMARK)
    found += [odd] if (odd := why_odd(macs)) else []
    in_onnxruntime = [v.to_json() for v in measured.variants if v.runtime == ONNXRUNTIME]
    return found + slower_than_float(
        in_onnxruntime, f"deploy {FLOAT_ONNX} here, or try fxpasses quantize --placement measured"
    )
