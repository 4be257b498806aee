"""Takes one model through everything: build, quantize, export, load in onnxruntime, compare.

``python scripts/zoo_coverage/case.py SPEC`` does it in its own process and prints the outcome as JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import fxpasses as fx
from fxpasses.errors import FxPassesError, GraphError
from fxpasses.graph.pass_runner import pass_logs
from fxpasses.graph.stages import graph_facts
from fxpasses.measure.output_comparison import compare_outputs
from fxpasses.models.loaded_model import LoadedModel
from zoo_coverage.classifiers import open_model
from zoo_coverage.float_twin import spoilt_parts
from zoo_coverage.real_models import ZOOS, ZooModel, open_zoo_model

CALIBRATION = 8
LARGEST_LSB = 1
OK, FAILED, CRASH, NOT_OURS = "ok", "failed", "CRASH", "torch cannot"


@dataclass
class Outcome:
    """Outcome of one model; ``step`` is the last one begun.

    ``status``: ok; failed, with an error that a user can act on; a CRASH is a defect of fxpasses; or torch itself can
    neither trace nor export the model. ``worst_part_db`` is the SQNR of the part of an output that is furthest from
    float; ``twin_db``, only for nets with a part below 10 dB, that of the same net in float with weights in bfloat16,
    which shows whether the part is noise.
    """

    name: str
    status: str = OK
    reason: str = ""
    step: str = ""
    input_size: int = 0
    captured_by: str = ""
    int8_nodes: int = 0
    float_nodes: int = 0
    sqnr_db: float | None = None
    worst_part_db: float | None = None
    twin_db: float | None = None
    max_lsb: int | None = None
    max_lsb_at_any_node: int | None = None
    seconds: float = 0.0
    float_reasons: dict[str, int] = field(default_factory=dict)


def cover(spec: str) -> Outcome:
    """Take one model, ``torchvision/NAME``, ``timm/NAME`` or ``ZOO/NAME``, through everything."""
    outcome = Outcome(spec)
    start = time.perf_counter()
    try:
        with torch.no_grad():
            outcome.step = "build"
            _cover(open_zoo_model(spec) if spec.partition("/")[0] in ZOOS else open_model(spec), outcome)
    except FxPassesError as error:
        outcome.status, outcome.reason = outcome.status if outcome.status == NOT_OURS else FAILED, str(error)
    except Exception:  # noqa: BLE001  # the point of the script is to find what escapes
        outcome.status, outcome.reason = CRASH, traceback.format_exc()
    outcome.seconds = round(time.perf_counter() - start, 1)
    return outcome


def _cover(loaded: LoadedModel | ZooModel, outcome: Outcome) -> None:
    images = loaded.example_inputs(CALIBRATION)[0]
    outcome.input_size = images.shape[-1]
    outcome.step = "quantize"
    try:
        int8 = fx.quantize(loaded.module, images[:2], images.split(4))
    except GraphError as error:
        if error.step == "capture" and not torch_captures(loaded.module, (images[:2],)):
            outcome.status = NOT_OURS
        raise
    method = graph_facts(int8).capture_method
    outcome.captured_by = method.value if method else ""
    _count_nodes(int8, outcome)
    outcome.sqnr_db = round(sqnr_db(_first(loaded.module(images)), _first(int8(images))), 1)
    outcome.step = "compare outputs"
    float_graph = fx.fuse(fx.capture(loaded.module, images[:2]))
    scores = compare_outputs(float_graph, int8, [(images,)])
    parts = [score.sqnr_db for score in scores]
    outcome.worst_part_db = min((round(part, 1) for part in parts if part is not None), default=None)
    spoilt, twin = spoilt_parts(float_graph, scores, (images,))
    outcome.twin_db = None if twin is None else round(twin, 1)
    with tempfile.TemporaryDirectory() as folder:
        outcome.step = "export"
        path = fx.export.to_onnx(int8, Path(folder) / "model.onnx")
        outcome.step = "compare"
        report = fx.export.parity(int8, [images[:4]], onnx_path=path, node_images=1)
    outcome.max_lsb, outcome.max_lsb_at_any_node = report.logits.max_lsb, report.max_lsb_at_any_node
    if report.max_lsb_at_any_node > LARGEST_LSB:
        outcome.status = FAILED
        outcome.reason = f"{report.max_lsb_at_any_node} LSB at {report.first_divergence}"
    elif spoilt:
        outcome.status, outcome.reason = FAILED, "; ".join(spoilt)


def torch_captures(model: nn.Module, inputs: tuple[Tensor, ...]) -> bool:
    """Whether torch's own tracer or exporter can capture the model, even if fxpasses then refuses it."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        for attempt in (torch.fx.symbolic_trace, lambda m: torch.export.export(m, inputs, strict=False)):
            try:
                attempt(model)
            except Exception:  # noqa: BLE001  # the model's forward runs in there
                continue
            return True
    return False


def _count_nodes(int8: Any, outcome: Outcome) -> None:
    for log in pass_logs(int8):
        if log.name == "observe":
            for skip in log.result.skipped:
                outcome.float_reasons[skip.why] = outcome.float_reasons.get(skip.why, 0) + 1
    outcome.float_nodes = sum(outcome.float_reasons.values())
    outcome.int8_nodes = sum(n.target is torch.ops.fxpasses.quantize.default for n in int8.graph.nodes)


def _first(output: Any) -> Tensor:
    while not isinstance(output, Tensor):
        output = next(iter(output.values())) if isinstance(output, dict) else output[0]
    return output


def sqnr_db(expected: Tensor, found: Tensor) -> float:
    """Signal-to-quantization-noise ratio of the outputs in decibels."""
    noise = (expected - found).double().square().sum()
    return float(10 * torch.log10(expected.double().square().sum() / noise))


if __name__ == "__main__":
    print(json.dumps(asdict(cover(sys.argv[1]))))
