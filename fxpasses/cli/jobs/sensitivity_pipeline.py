"""The work of ``fxpasses sensitivity --method quant``: measure, and write JSON, page and plot."""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import fx

from fxpasses.errors import InputError
from fxpasses.export.files import write_bytes_atomic, write_json_atomic, write_text_atomic
from fxpasses.export.integer_tensors import OnnxIntegers
from fxpasses.export.onnx_writer.write import to_onnx
from fxpasses.export.torch_int8 import to_torch
from fxpasses.graph.devices import usable_device
from fxpasses.machine.environment import environment
from fxpasses.measure.runners import onnx_runner
from fxpasses.quantization.config import QuantConfig
from fxpasses.sensitivity.calibrated import Calibrated
from fxpasses.sensitivity.pages.figures import as_png
from fxpasses.sensitivity.pages.quant_document import quant_document
from fxpasses.sensitivity.pages.quant_page import quant_page
from fxpasses.sensitivity.pages.quant_plots import noise_figure
from fxpasses.sensitivity.pages.quant_table import print_quant
from fxpasses.sensitivity.quant import Integers, QuantSensitivity, quant_sensitivity, torch_runtime
from fxpasses.sensitivity.search.journal import Journal
from fxpasses.signature.samples import count_samples

from ..folders.folder import DataChoice, ModelChoice
from ..folders.output_check import checked_outputs
from ..given import DEFAULT_CALIBRATION_IMAGES, Input, default_threads
from ..options.overrides import check_overrides
from ..options.sensitivity import SensitivityOptions
from ..options.static import overrides_of
from ..terminal import Terminal
from .evaluation_data import Batch, default_images, evaluation_batches
from .journaled import answers
from .parallel_jobs import threads_each
from .search_jobs import Calibration, LayerJob, calibrated
from .subject import Subject, fused_graph, loaded

SENSITIVITY_JSON = "sensitivity.json"
SENSITIVITY_HTML = "sensitivity.html"
SENSITIVITY_PNG = "sensitivity.png"


@dataclass(frozen=True)
class QuantSettings:
    """Settings of ``--method quant``; see the options of the command."""

    config: QuantConfig
    calibration_images: int | None
    images: int | None
    node_images: int
    threads: int | None
    seed: int
    workers: int
    backend: str
    journal: Path
    device: str = "cpu"

    def __post_init__(self) -> None:
        usable_device(self.device)


def quant_config(target: str, observers: Sequence[str], keep_float: Sequence[str]) -> QuantConfig:
    """Quantization settings from the options of a command."""
    general, overrides = overrides_of(observers, keep_float)
    config = QuantConfig(target=target, observer=general or QuantConfig.observer, overrides=overrides)
    if config.sweeps:
        raise InputError(
            "--observer sweep of a sensitivity analysis",
            why="it calibrates once, for every choice of layers in float",
            fix="quantize with it first; report.json names the observer it chose",
        )
    return config


def quant_settings(options: SensitivityOptions, seed: int, journal: Path) -> QuantSettings:
    """Settings of ``--method quant`` from the options of the command."""
    config = quant_config(options.target, options.observer or [], options.keep_float or [])
    return QuantSettings(
        config=config,
        calibration_images=options.calib,
        images=options.images,
        node_images=options.node_images,
        threads=options.threads,
        seed=seed,
        workers=options.workers,
        backend=options.backend,
        journal=journal,
        device=options.device,
    )


def quant_into(
    folder: Path, model: ModelChoice, data: DataChoice, settings: QuantSettings, terminal: Terminal
) -> dict[str, Any]:
    """Measure the cost of int8 at every layer, write the files, and return the document."""
    subject = Subject(model, data, threads_each(default_threads(settings.threads), settings.workers), settings.device)
    with terminal.step("load, capture and fuse"):
        graph, source = fused_graph(subject), loaded(subject).data
    check_overrides(graph, settings.config)
    images = settings.calibration_images
    images = min(DEFAULT_CALIBRATION_IMAGES, source.calibration_images) if images is None else images
    calibration = Calibration(images, settings.seed)
    with terminal.step("calibrate"):
        ready = calibrated(subject, calibration, settings.config)
    with tempfile.TemporaryDirectory() as temporary:
        with terminal.step("export int8 ONNX"):
            int8 = ready.convert()
            runtimes = {**torch_runtime(int8), **_onnx_runtime(int8, Path(temporary))}
        found = _measured(subject, calibration, ready, runtimes, settings, terminal)
    given = loaded(subject).given
    checked = checked_outputs(ready.float_graph, to_torch(int8), source, settings.node_images, terminal)
    document = {**frame(given, settings.config.target, images, terminal), **quant_document(found)}
    document |= {"outputs": checked["outputs"], "warnings": [*checked["warnings"], *document["warnings"]]}
    for warning in checked["warnings"]:
        terminal.remark(warning)
    whole = next(iter(found.int8.values())).sqnr_db
    with terminal.step("draw"):
        write_json_atomic(folder / SENSITIVITY_JSON, document)
        write_text_atomic(folder / SENSITIVITY_HTML, quant_page(document))
        write_bytes_atomic(folder / SENSITIVITY_PNG, as_png(*noise_figure(document["layers"], whole)))
    print_quant(document, terminal.results)
    return document


def _measured(
    subject: Subject,
    calibration: Calibration,
    ready: Calibrated,
    runtimes: Mapping[str, tuple[Callable[..., object], Integers]],
    settings: QuantSettings,
    terminal: Terminal,
) -> QuantSensitivity:
    """Measure every layer, in parallel or from the journal; then every tensor in the int8 model."""
    source = loaded(subject).data
    count = default_images(source, settings.images)
    jobs = [LayerJob(subject, count, calibration, settings.config, unit) for unit in ready.units]
    journal = Journal(settings.journal, subject.about)
    answered = answers("layers", jobs, journal, settings.workers, settings.backend, terminal)
    evaluation = evaluation_batches(source, count)
    with terminal.step("tensors in place"):
        return quant_sensitivity(
            ready,
            evaluation,
            runtimes=runtimes,
            node_batches=-(-settings.node_images // _samples_of(ready.float_graph, evaluation())),
            layers=[job.read(answer) for job, answer in answered],
            metric=loaded(subject).given.metric,
            device=settings.device,
        )


def _samples_of(graph: fx.GraphModule, batches: Iterable[Batch]) -> int:
    """Number of samples in the first batch."""
    inputs: Any = next(iter(batches))[0]
    return count_samples(graph, inputs if isinstance(inputs, tuple) else (inputs,))


def _onnx_runtime(int8: fx.GraphModule, folder: Path) -> Mapping[str, tuple[Callable[..., object], Integers]]:
    path = to_onnx(int8, folder / "model.int8.onnx")
    return {"onnxruntime": (onnx_runner(path, "int8").outputs, OnnxIntegers(path).integers)}


def frame(given: Input, target: str | None, calibration_images: int | None, terminal: Terminal) -> dict[str, Any]:
    """Entries of every document on its origin: environment, model, data, command and warnings."""
    warnings = [] if given.model.pretrained else ["the weights are random: trained ones differ in sensitivity"]
    for warning in warnings:
        terminal.remark(warning)
    return {
        "environment": environment(),
        "model": given.model.name,
        "data": given.data.name,
        "target": target,
        "command": shlex.join(["fxpasses", *sys.argv[1:]]),
        "model_details": given.model_details,
        "data_details": {**given.data_details, "calibration_images": calibration_images},
        "durations": dict(terminal.durations),
        "metric": None if given.metric is None else given.metric.about(),
        "warnings": [*terminal.warnings, *warnings],
    }
