"""Every torchvision classifier through the whole toolkit: capture, quantize, export, load in onnxruntime, compare.

    python scripts/coverage.py [--models NAME ...] [--json FILE]

Weights are random and BatchNorm statistics settled, so that folding them means something; nothing is downloaded.
A model is ok when its int8 ONNX file runs in onnxruntime and gives the integers of the PyTorch int8 module, at most
one step apart anywhere. Whatever fails shows the error a user would see; a CRASH is a defect of ours.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

import fxpasses as fx
from fxpasses.errors import FxPassesError
from fxpasses.models.zoo import load_model
from fxpasses.pass_runner import pass_logs

SMALL = 64
"""Side of the input, for models that take it."""

OTHER_SIZES = {"inception_v3": 96, "maxvit_t": 224, "vit_h_14": 70}
"""Inception shrinks 64 to nothing, MaxViT is built for 224, and vit_h_14 wants multiples of 14."""

CALIBRATION = 8
LARGEST_LSB = 1


@dataclass
class Outcome:
    """What became of one model."""

    name: str
    status: str = "ok"
    reason: str = ""
    step: str = ""
    input_size: int = 0
    int8_nodes: int = 0
    float_nodes: int = 0
    sqnr_db: float | None = None
    max_lsb: int | None = None
    max_lsb_at_any_node: int | None = None
    seconds: float = 0.0
    float_reasons: dict[str, int] = field(default_factory=dict)


def classifiers() -> list[str]:
    """Names of all torchvision classification models."""
    import torchvision

    names: list[str] = torchvision.models.list_models(module=torchvision.models)
    return names


def cover(name: str) -> Outcome:
    """Take one model through everything."""
    outcome = Outcome(name)
    start = time.perf_counter()
    try:
        with torch.no_grad():
            _cover(name, outcome)
    except FxPassesError as error:
        outcome.status, outcome.reason = "failed", str(error)
    except Exception:  # noqa: BLE001  # the point of the script is to find what escapes
        outcome.status, outcome.reason = "CRASH", traceback.format_exc()
    outcome.seconds = round(time.perf_counter() - start, 1)
    return outcome


def _cover(name: str, outcome: Outcome) -> None:
    outcome.step = "build"
    size = OTHER_SIZES.get(name, SMALL)
    loaded = load_model(f"torchvision/{name}", image_size=size)
    outcome.input_size = size
    images = torch.randn(CALIBRATION, 3, size, size, generator=torch.Generator().manual_seed(0))
    outcome.step = "quantize"
    int8 = fx.quantize(loaded.module, images[:2], images.split(4))
    _count_nodes(int8, outcome)
    expected = loaded.module(images)
    outcome.sqnr_db = round(_sqnr_db(expected, int8(images)), 1)
    with tempfile.TemporaryDirectory() as folder:
        outcome.step = "export"
        path = fx.export.to_onnx(int8, Path(folder) / f"{name}.onnx")
        outcome.step = "compare"
        report = fx.export.parity(int8, [images[:4]], onnx_path=path, node_images=1)
    outcome.max_lsb, outcome.max_lsb_at_any_node = report.logits.max_lsb, report.max_lsb_at_any_node
    if report.max_lsb_at_any_node > LARGEST_LSB:
        outcome.status = "failed"
        outcome.reason = f"{report.max_lsb_at_any_node} LSB at {report.first_divergence}"


def _count_nodes(int8: Any, outcome: Outcome) -> None:
    for log in pass_logs(int8):
        if log.name == "observe":
            for skip in log.result.skipped:
                reason = skip.why.removeprefix("stays float: ")
                outcome.float_reasons[reason] = outcome.float_reasons.get(reason, 0) + 1
    outcome.float_nodes = sum(outcome.float_reasons.values())
    outcome.int8_nodes = sum(n.target is torch.ops.fxpasses.quantize.default for n in int8.graph.nodes)


def _sqnr_db(expected: Tensor, found: Tensor) -> float:
    noise = (expected - found).double().square().sum()
    return float(10 * torch.log10(expected.double().square().sum() / noise))


def _table(outcomes: list[Outcome]) -> Table:
    table = Table(title="torchvision classifiers: capture, quantize, export, load, compare")
    for heading in ("model", "input", "status", "int8", "float", "SQNR dB", "max LSB", "at any node", "s", "reason"):
        table.add_column(heading, overflow="fold")
    for o in outcomes:
        cells = (o.input_size, o.status, o.int8_nodes, o.float_nodes, o.sqnr_db, o.max_lsb, o.max_lsb_at_any_node)
        first_line = o.reason.strip().splitlines()[-1 if o.status == "CRASH" else 0] if o.reason else ""
        table.add_row(o.name, *("" if c is None else str(c) for c in cells), str(o.seconds), first_line)
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", metavar="NAME", help="only these (default: all 80)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the outcomes here, after every model")
    arguments = parser.parse_args()
    console, outcomes = Console(), list[Outcome]()
    for name in arguments.models or classifiers():
        outcome = cover(name)
        outcomes.append(outcome)
        line = f"{outcome.status:7} {name:24} {outcome.seconds:6.1f} s  {outcome.reason[:200]}"
        print(line, file=sys.stderr, flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps([asdict(o) for o in outcomes], indent=1))
        gc.collect()
    console.print(_table(outcomes))
    ok, crashed = (sum(o.status == s for o in outcomes) for s in ("ok", "CRASH"))
    console.print(f"{ok} of {len(outcomes)} ok, {crashed} without a clear error")
    return 0 if not crashed else 1


if __name__ == "__main__":
    sys.exit(main())
