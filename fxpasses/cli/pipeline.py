"""A float model and data in, a folder of artifacts and a report out: what ``quantize`` and ``quickstart`` share."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, fx

from fxpasses.dynamic_sizes import image_sizes
from fxpasses.export.audit import AuditReport, audit
from fxpasses.export.environment import usable_threads, why_unsuited
from fxpasses.export.metrics import Metric
from fxpasses.export.onnx_file import to_onnx
from fxpasses.export.optimizer import Optimizer, optimize_onnx
from fxpasses.export.parity_check import ParityReport, parity
from fxpasses.export.program import exported_program
from fxpasses.export.pt2_file import save
from fxpasses.export.report import build_report, write_report
from fxpasses.export.report_html import write_html
from fxpasses.export.report_lowered import slower_than_float
from fxpasses.export.runners import ONNXRUNTIME, torch_threads
from fxpasses.export.torch_int8 import to_torch
from fxpasses.export.wide_activations import WIDE_REMARK
from fxpasses.fusion import fuse
from fxpasses.models.data_source import DataSource, check_count
from fxpasses.models.datasets import open_dataset
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.quantization.api import samples_kept
from fxpasses.quantization.calibration import calibrate
from fxpasses.quantization.config import LARGEST_BITS, QuantConfig
from fxpasses.quantization.convert import convert
from fxpasses.quantization.equalization import equalized
from fxpasses.quantization.first_samples import first_samples
from fxpasses.quantization.learned_rounding import learn_rounding
from fxpasses.quantization.loud_tensors import narrow_ranges
from fxpasses.quantization.observe import observe
from fxpasses.quantization.observer_sweep import sweep_observers
from fxpasses.quantization.reestimation import reestimate
from fxpasses.stages import graph_facts
from fxpasses.tracing import capture

from . import interruption
from .artifacts import FLOAT_ONNX, INT8_ONNX, INT8_PT2, REPORT_HTML, REPORT_JSON
from .fitting import fitted
from .folder import DataChoice, ModelChoice
from .made_graphs import Int8Graphs
from .measuring import Measured, Subjects, measure
from .metric_option import metric_of
from .options import check_threads
from .output_check import checked_outputs
from .overrides import check_overrides
from .placing import ALL, MEASURED, Place, check_placement, measured_placement
from .qat import Qat, trained
from .stored import store_in
from .terminal import Terminal

DEFAULT_CALIBRATION_IMAGES = 256
DEFAULT_EVALUATION_IMAGES = 1000
PARITY_IMAGES = 64
PARITY_NODE_IMAGES = 8
PARITY_BATCH = 8


@dataclass(frozen=True)
class Input:
    """What is quantized, on what data, and how the report says so."""

    model: LoadedModel
    data: DataSource
    model_details: Mapping[str, object]
    data_details: Mapping[str, object]
    metric: Metric | None = None


@dataclass(frozen=True)
class Settings:
    """How.

    Attributes:
        config: of the quantization.
        calibration_images: None for ``DEFAULT_CALIBRATION_IMAGES``, or as many as there are.
        evaluation_images: at most; spread over the data.
        form, optimizer: of the ONNX files.
        benchmark: whether to measure latency.
        threads: to compute on; None for all.
        seed: of the choice of calibration images.
        placement: ``"all"`` operators in int8 that can be, or ``"measured"``: those that make the file faster so.
        dynamic_size: whether height and width of images are free.
        qat: what is asked of training; None for calibration alone.
    """

    config: QuantConfig
    calibration_images: int | None = None
    evaluation_images: int = DEFAULT_EVALUATION_IMAGES
    form: Literal["qdq", "qoperator"] = "qdq"
    optimizer: Optimizer = "onnxruntime"
    benchmark: bool = True
    threads: int | None = None
    seed: int = 0
    placement: str = ALL
    dynamic_size: bool = False
    qat: Qat | None = None

    def __post_init__(self) -> None:
        check_placement(self.placement, self.config)
        check_count("evaluation images", self.evaluation_images)
        check_threads(self.threads)


@dataclass(frozen=True)
class Outcome:
    """What :func:`quantize_into` made, for the summary on the terminal."""

    report: Mapping[str, Any]
    audit: AuditReport


def open_input(model: ModelChoice, data: DataChoice, terminal: Terminal) -> Input:
    """Load the model and open the data."""
    with terminal.step("load model and data"):
        return open_both(model, data)


def open_both(model: ModelChoice, data: DataChoice) -> Input:
    """The model, its data and its metric, found to fit each other."""
    loaded = model.load()
    metric = metric_of(data.metric, loaded)
    source = fitted(loaded, open_dataset(data.spec, loaded, data.labels), metric)
    return Input(loaded, source, model.details(loaded), data.details(), metric)


def quantize_into(folder: Path, given: Input, settings: Settings, terminal: Terminal) -> Outcome:
    """Quantize and write every artifact and the report into ``folder``.

    Raises:
        FxPassesError: whatever is wrong with the model, the data or the settings.
    """
    threads = default_threads(settings.threads)
    with torch_threads(threads):
        graph, made, images = quantized(given, settings, terminal)
        int8 = made.graph
        _export(folder, graph, int8, settings, terminal)
        subjects = Subjects.of(folder, graph, int8, threads, made.nearest)
        compared = min(PARITY_IMAGES, settings.evaluation_images)
        found = parity_on(int8, folder / INT8_ONNX, given.data, compared, terminal)
        integers = store_in(folder, int8, subjects.int8_module, given.data)
        with terminal.step("audit"):
            audited = audit(folder / INT8_ONNX)
        judged = checked_outputs(graph, subjects.int8_module, given.data, settings.evaluation_images, terminal)
        measured = measure(subjects, given, settings.evaluation_images, settings.benchmark, terminal)
    report = build_report(
        model=given.model.name,
        data=given.data.name,
        target=settings.config.target,
        variants=measured.variants,
        parity=found.to_json(),
        graph=int8,
        details={
            "command": shlex.join(["fxpasses", *sys.argv[1:]]),
            "model_details": given.model_details,
            "data_details": _data_details(given, images, settings, measured),
            "durations": dict(terminal.durations),
            "audit": audited.to_json(),
            **integers,
            "kernels": subjects.kernels,
            **made.details(),
            "outputs": judged["outputs"],
            "macs": measured.macs.to_json(),
            "warnings": [*judged["warnings"], *terminal.warnings, *_warnings(given.model, settings.config, measured)],
        },
    )
    write_report(report, folder / REPORT_JSON)
    write_html(report, folder / REPORT_HTML)
    interruption.check()
    return Outcome(report, audited)


def _data_details(given: Input, images: int, settings: Settings, measured: Measured) -> dict[str, object]:
    return {
        **given.data_details,
        "calibration_images": images,
        "evaluation_images": min(settings.evaluation_images, given.data.evaluation_images),
        "has_labels": measured.has_labels,
    }


def quantized(given: Input, settings: Settings, terminal: Terminal) -> tuple[fx.GraphModule, Int8Graphs, int]:
    """The FLOAT graph, the QUANTIZED graph, and the number of calibration images."""
    images = calibration_images(given.data, settings)
    batches = given.data.calibration(images, seed=settings.seed)  # checks the number before anything slow
    with terminal.step("capture and fuse"):
        module, inputs = given.model.module, given.model.example_inputs()
        graph = fuse(capture(module, inputs, dynamic=image_sizes(module, inputs) if settings.dynamic_size else None))
    check_overrides(graph, settings.config)
    if settings.qat is not None:
        return graph, trained(given, settings, settings.qat, terminal), images
    place = None
    if settings.placement == MEASURED:
        place = partial(measured_placement, inputs=given.model.example_inputs, terminal=terminal)
    return graph, int8_graphs(graph, batches, images, settings.config, terminal, place), images


def calibration_images(data: DataSource, settings: Settings) -> int:
    """How many images to calibrate on."""
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
) -> Int8Graphs:
    """Equalize, observe, calibrate and convert a fused FLOAT graph; ``place`` chooses what stays float."""
    with terminal.step("equalize"):
        graph, batches = equalized(graph, batches, config)
    observed = observe(graph, config, every_tensor=place is not None)
    learns = config.rounding == "learned"
    first, batches = first_samples(batches, samples_kept(config))
    with terminal.step("calibrate", images) as step:
        if config.sweeps:
            sweep_observers(observed, batches, progress=step.advance, engine=to_torch)
            config = graph_facts(observed)["config"]
        else:
            calibrate(observed, batches, step.advance)
    if config.narrow_ranges:
        with terminal.step("narrow ranges"):
            narrow_ranges(observed, first)
    placement = place(observed, config) if place is not None else None
    config = config if placement is None else placement.config
    if config.reestimation:
        with terminal.step("convert and re-estimate"):
            return Int8Graphs(reestimate(observed, first, config), placement=placement)
    with terminal.step("convert"):
        nearest = convert(observed, config)
    if not learns:
        return Int8Graphs(nearest, placement=placement)
    with terminal.step("learn rounding", 0) as step:
        return Int8Graphs(learn_rounding(observed, first, config, progress=step.at), nearest, placement)


def parity_on(
    int8: fx.GraphModule,
    onnx_path: Path,
    data: DataSource,
    images: int,
    terminal: Terminal,
    node_images: int = PARITY_NODE_IMAGES,
) -> ParityReport:
    """Parity on that many images of the evaluation split, or as many as there are."""
    images = min(images, data.evaluation_images)
    batches = (inputs for inputs, _ in data.evaluation(PARITY_BATCH, images))
    with terminal.step("parity", images) as step:
        return parity(int8, batches, onnx_path=onnx_path, node_images=node_images, progress=step.advance)


def default_threads(threads: int | None) -> int:
    """What ``--threads`` means: all that the process may use, unless it says otherwise."""
    check_threads(threads)
    return usable_threads() if threads is None else threads


def _export(folder: Path, graph: fx.GraphModule, int8: fx.GraphModule, settings: Settings, terminal: Terminal) -> None:
    with terminal.step("export float ONNX"):
        to_onnx(graph, folder / FLOAT_ONNX)
        optimize_onnx(folder / FLOAT_ONNX, folder / FLOAT_ONNX, settings.optimizer)
    with terminal.step("export int8 ONNX"):
        program = exported_program(int8)
        to_onnx(int8, folder / INT8_ONNX, form=settings.form, program=program)
    with terminal.step("save .pt2"):
        save(int8, folder / INT8_PT2, program=program)


def _warnings(model: LoadedModel, config: QuantConfig, measured: Measured) -> list[str]:
    found = [] if model.pretrained else ["the weights are random: accuracy and agreement say nothing"]
    if unsuited := why_unsuited(config.target):
        found.append(f"target {config.target}: {unsuited}")
    if config.activation_bits != LARGEST_BITS:
        found.append(WIDE_REMARK)
    found += [measured.odd_macs] if measured.odd_macs else []
    in_onnxruntime = [v.to_json() for v in measured.variants if v.runtime == ONNXRUNTIME]
    return found + slower_than_float(in_onnxruntime, f"deploy {FLOAT_ONNX} here, or try --placement measured")
