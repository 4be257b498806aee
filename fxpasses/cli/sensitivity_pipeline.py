"""What ``fxpasses sensitivity`` does, for each method: measure, and write JSON, page and plot."""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import fx

from fxpasses.export.environment import environment
from fxpasses.export.files import write_bytes_atomic, write_json_atomic, write_text_atomic
from fxpasses.export.integer_tensors import OnnxIntegers
from fxpasses.export.onnx_file import to_onnx
from fxpasses.export.runners import onnx_runner, torch_threads
from fxpasses.fusion import fuse
from fxpasses.quantization.config import QuantConfig
from fxpasses.sensitivity.calibrated import calibrate_once
from fxpasses.sensitivity.figures import as_png
from fxpasses.sensitivity.quant import Integers, quant_sensitivity, torch_runtime
from fxpasses.sensitivity.quant_document import quant_document
from fxpasses.sensitivity.quant_page import quant_page
from fxpasses.sensitivity.quant_plots import noise_figure
from fxpasses.sensitivity.quant_table import print_quant
from fxpasses.tracing import capture

from .evaluation_data import default_images, evaluation_batches
from .folder import DataChoice, ModelChoice
from .pipeline import DEFAULT_CALIBRATION_IMAGES, Input, check_overrides, default_threads, open_input
from .quantize_command import overrides_of
from .terminal import Terminal

SENSITIVITY_JSON = "sensitivity.json"
SENSITIVITY_HTML = "sensitivity.html"
SENSITIVITY_PNG = "sensitivity.png"


@dataclass(frozen=True)
class QuantSettings:
    """What ``--method quant`` measures; see the options of the command."""

    config: QuantConfig
    calibration_images: int | None
    images: int | None
    node_images: int
    threads: int | None
    seed: int


def quant_config(target: str, observers: Sequence[str], keep_float: Sequence[str]) -> QuantConfig:
    """The settings that the options of a command mean."""
    general, overrides = overrides_of(observers, keep_float)
    return QuantConfig(target=target, observer=general or QuantConfig.observer, overrides=overrides)


def quant_into(
    folder: Path, model: ModelChoice, data: DataChoice, settings: QuantSettings, terminal: Terminal
) -> dict[str, Any]:
    """Measure what int8 costs and write the files; returns the document."""
    given = open_input(model, data, terminal)
    with torch_threads(default_threads(settings.threads)):
        images = settings.calibration_images
        images = min(DEFAULT_CALIBRATION_IMAGES, given.data.calibration_images) if images is None else images
        batches = given.data.calibration(images, seed=settings.seed)
        graph = captured(given, terminal)
        check_overrides(graph, settings.config)
        with terminal.step("calibrate", images) as step:
            calibrated = calibrate_once(graph, settings.config, batches, step.advance)
        evaluation = evaluation_batches(given.data, default_images(given.data, settings.images))
        with tempfile.TemporaryDirectory() as temporary:
            with terminal.step("export int8 ONNX"):
                int8 = calibrated.convert()
                runtimes = {**torch_runtime(int8), **_onnx_runtime(int8, Path(temporary))}
            with terminal.step("layers", len(calibrated.units)) as step:
                found = quant_sensitivity(
                    calibrated,
                    evaluation,
                    runtimes=runtimes,
                    node_batches=-(-settings.node_images // len(next(iter(evaluation()))[0])),
                    progress=step.at,
                )
    document = {**frame(given, settings.config.target, images, terminal), **quant_document(found)}
    whole = next(iter(found.int8.values())).sqnr_db
    write_json_atomic(folder / SENSITIVITY_JSON, document)
    with terminal.step("draw"):
        write_text_atomic(folder / SENSITIVITY_HTML, quant_page(document))
        write_bytes_atomic(folder / SENSITIVITY_PNG, as_png(*noise_figure(document["layers"], whole)))
    print_quant(document, terminal.results)
    return document


def captured(given: Input, terminal: Terminal) -> fx.GraphModule:
    """The FLOAT graph, fused."""
    with terminal.step("capture and fuse"):
        return fuse(capture(given.model.module, given.model.example_inputs()))


def _onnx_runtime(int8: fx.GraphModule, folder: Path) -> Mapping[str, tuple[Callable[..., object], Integers]]:
    path = to_onnx(int8, folder / "model.int8.onnx")
    return {"onnxruntime": (onnx_runner(path, "int8"), OnnxIntegers(path).integers)}


def frame(given: Input, target: str | None, calibration_images: int | None, terminal: Terminal) -> dict[str, Any]:
    """What every document says of where it comes from."""
    warnings = [] if given.model.pretrained else ["the weights are random: what they are sensitive to says nothing"]
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
        "warnings": [*terminal.warnings, *warnings],
    }
