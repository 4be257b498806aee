"""``quantize --method fp16|bf16|weight-only|dynamic``: lower a float model, and write its files and a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, fx

from fxpasses.agreement.runtime_agreement import RuntimeAgreement, runtime_agreement
from fxpasses.errors import InputError
from fxpasses.export.files import file_bytes
from fxpasses.export.onnx_writer.optimizer import Optimizer, optimize_onnx
from fxpasses.export.onnx_writer.write import to_onnx
from fxpasses.export.pt2.save_and_load import save
from fxpasses.measure.model_size import module_bytes
from fxpasses.measure.runners import ONNXRUNTIME, onnx_runner, torch_runner, torch_threads
from fxpasses.precision.lowered import first_overflow
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.reports.document import build_report
from fxpasses.reports.lowered import lowered_account, slower_than_float

from ..folders.artifacts import FLOAT_ONNX
from ..folders.measuring import FLOAT, Artifact, Measured, macs_of, measure
from ..folders.reporting import random_weights, run_details, write_reports
from ..given import DEFAULT_EVALUATION_IMAGES, PARITY_BATCH, PARITY_IMAGES, Input, default_threads
from ..options.overrides import check_overrides
from ..options.quantize import BF16
from ..terminal import Terminal
from .methods import Lowering


@dataclass(frozen=True)
class LoweredSettings:
    """Settings of the measurement; those of the conversion are in :class:`Lowering`.

    Attributes:
        evaluation_images: largest number of images, spread over the data.
        optimizer: optimizer of the float ONNX file.
        opset: opset of the ONNX files; None for that of `to_onnx`.
        benchmark: whether to measure latency.
        threads: number of threads to compute on; None for all.
    """

    evaluation_images: int = DEFAULT_EVALUATION_IMAGES
    optimizer: Optimizer = "onnxruntime"
    benchmark: bool = True
    threads: int | None = None
    opset: int | None = None

    def __post_init__(self) -> None:
        for what, count in (("evaluation images", self.evaluation_images), ("threads", self.threads)):
            if count is not None and count < 1:
                raise InputError(f"{what}: {count}", why="at least one is needed", fix="ask for 1 or more")


def lower_into(
    folder: Path, given: Input, lowering: Lowering, settings: LoweredSettings, terminal: Terminal
) -> Mapping[str, Any]:
    """Lower, write every artifact and the report into ``folder``, and return the report.

    Raises:
        FxPassesError: whatever is wrong with the model, the data or the settings.
    """
    threads = default_threads(settings.threads)
    with torch_threads(threads):
        with terminal.step("capture and fuse"):
            graph = lowering.captured(given.model)
        kept = tuple(Override(pattern, keep_float=True) for pattern in lowering.keep_float)
        check_overrides(graph, QuantConfig(overrides=kept))
        with terminal.step(f"lower to {lowering.precision}"):
            lowered = lowering.lowered(graph)
        _require_finite(lowered, graph, lowering, given)
        artifacts = _artifacts(folder, graph, lowered, lowering, settings, threads, terminal)
        agreement = _agreement(artifacts, given, settings, terminal)
        macs = macs_of(graph, given, terminal).macs
        artifacts = [replace(artifact, graph=graph, macs=macs) for artifact in artifacts]  # counted as floats
        measured = measure(artifacts, given, settings.evaluation_images, settings.benchmark, terminal)
    report = _report(given, lowering, settings, lowered, measured, agreement, terminal)
    write_reports(report, folder)
    return report


def _require_finite(lowered: fx.GraphModule, graph: fx.GraphModule, lowering: Lowering, given: Input) -> None:
    """Raise InputError if half precision overflows where float32 does not, before anything is written."""
    inputs, _ = next(iter(given.data.evaluation(PARITY_BATCH, PARITY_BATCH)))
    node = first_overflow(lowered, graph, inputs if isinstance(inputs, tuple) else (inputs,))
    if node is None:
        return
    casts = node.target == "to"  # of a node that stays in float32, whose values go on in half precision
    name = node.all_input_nodes[0].name if casts else node.name
    in_bf16 = lowering.method == BF16
    raise InputError(
        f"--method {lowering.method}",
        why=f"node {name} overflows: {lowering.precision} does not reach as far as its values",
        fix="use --method static" if in_bf16 else "use --method bf16, which has the range of float32",
    )


def _artifacts(
    folder: Path,
    graph: fx.GraphModule,
    lowered: fx.GraphModule,
    lowering: Lowering,
    settings: LoweredSettings,
    threads: int,
    terminal: Terminal,
) -> list[Artifact]:
    precision = lowering.precision
    onnx_name, pt2_name = f"model.{precision}.onnx", f"model.{precision}.pt2"
    with terminal.step("export float ONNX"):
        float_onnx = to_onnx(graph, folder / FLOAT_ONNX, opset=settings.opset)
        optimize_onnx(float_onnx, float_onnx, settings.optimizer)
    with terminal.step(f"export {precision} ONNX"):
        lowered_onnx = lowering.to_onnx(graph, lowered, folder / onnx_name, settings.optimizer, settings.opset)
    with terminal.step("save .pt2"):
        save(lowered, folder / pt2_name)
    return [
        Artifact(torch_runner(graph, FLOAT, threads), graph, module_bytes(graph)),
        Artifact(torch_runner(lowered, precision, threads), lowered, module_bytes(lowered), pt2_name),
        Artifact(onnx_runner(float_onnx, FLOAT, threads), graph, file_bytes(float_onnx), FLOAT_ONNX),
        Artifact(onnx_runner(lowered_onnx, precision, threads), lowered, file_bytes(lowered_onnx), onnx_name),
    ]


def _agreement(
    artifacts: Sequence[Artifact], given: Input, settings: LoweredSettings, terminal: Terminal
) -> RuntimeAgreement:
    first, second = (a.runner for a in artifacts if a.runner.precision != FLOAT)
    images = min(PARITY_IMAGES, settings.evaluation_images, given.data.evaluation_images)
    batches: Iterator[Tensor] = (x for x, _ in given.data.evaluation(PARITY_BATCH, images))
    with terminal.step("compare runtimes", images) as step:
        place = next(iter(given.model.output_dims), None) or 0
        return runtime_agreement(first, second, batches, step.advance, samples_dim=place)


def _report(
    given: Input,
    lowering: Lowering,
    settings: LoweredSettings,
    lowered: fx.GraphModule,
    measured: Measured,
    agreement: RuntimeAgreement,
    terminal: Terminal,
) -> dict[str, Any]:
    documents = [variant.to_json() for variant in measured.variants]
    warnings = random_weights(given.model)
    for runtime in ("torch", ONNXRUNTIME):
        own = [d for d in documents if d["runtime"] == runtime]
        warnings += slower_than_float(own, lowering.why_slow(runtime))
    return build_report(
        model=given.model.name,
        data=given.data.name,
        target=lowering.target,
        variants=measured.variants,
        details={
            "method": lowering.method,
            "recipe": lowering.recipe(),
            "runtime_agreement": agreement.to_json(),
            **run_details(given, settings.evaluation_images, measured, terminal),
            "warnings": [*terminal.warnings, *lowering.remarks(), *warnings],
            **lowered_account(lowered, lowering.precision),
        },
    )
