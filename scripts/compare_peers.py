"""Compares fxpasses with torch.ao, onnxruntime's quantize_static (MinMax, Entropy, Percentile) and NNCF on the same
nets.

python scripts/compare_peers.py --data-root DATA python scripts/compare_peers.py --models torchvision/resnet18 --peers
minmax nncf --runs 300 --json peers.json python scripts/compare_peers.py --models all --calib 256 --data-root DATA

DATA holds models/ (weights), imagenet/, cifar10/ and mnist/. A net without weights or images there gets random weights
(with settled BatchNorms) and noise: agreement and speed are still meaningful, accuracy is left out.

Every tool quantizes in its own process, on all cores. "made in" is the time from the float model in memory (for ONNX
quantizers: from the float file) to int8 files on disk, of which fxpasses writes two. "peak" is the largest memory of
the process, "added" the part of it that imports and the float model did not need. Latency is on one thread at batch 1;
all contestants of a net take turns, and ratios are medians of paired rounds. On CPUs without VNNI quantize_static gets
``reduce_range``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import Any

import torch
from peers.case import Case, write_case
from peers.contestants import CONTESTANTS, OURS, Entry, entries_of
from rich.console import Console
from rich.table import Table

import fxpasses
from fxpasses.errors import FxPassesError
from fxpasses.export.files import file_bytes, write_json_atomic
from fxpasses.machine.environment import environment
from fxpasses.measure.accuracy import Comparison, compare
from fxpasses.measure.benchmark import BenchSettings, benchmark
from fxpasses.measure.latency import BenchResult
from fxpasses.measure.runners import ONNXRUNTIME, onnx_runner, torch_runner
from fxpasses.models.data.data_source import DataSource
from fxpasses.models.datasets import open_dataset
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.zoo import load_model
from fxpasses.reports.numbers import bytes_text, decibel_text, percent_text, three_digits

WEIGHTS_AND_DATA = {
    "torchvision/mobilenet_v2": ("imagenet_mobilenet_v2_bnfolded.pt", "images=imagenet"),
    "torchvision/squeezenet1_1": ("imagenet_squeezenet1_1.pt", "images=imagenet"),
    "cifar_resnet20": ("cifar10_resnet20.pt", "cifar10=cifar10"),
    "cifar_resnet56": ("cifar10_resnet56.pt", "cifar10=cifar10"),
    "lenet": ("mnist_lenet.pt", "mnist=mnist"),
}
MODELS = ("torchvision/resnet18", "torchvision/mobilenet_v2", "torchvision/squeezenet1_1", "cifar_resnet20")
MORE = ("resnet50", "mobilenet_v3_large", "efficientnet_b0", "shufflenet_v2_x1_0", "vit_b_16")
ALL_MODELS = (*MODELS, "cifar_resnet56", "lenet", *(f"torchvision/{name}" for name in MORE))
NOISE_FOR_EVALUATION = 64
WIDTH_OF_A_FILE = 140
COLUMNS = ("", "top-1", "agrees", "SQNR", "p50 ms", "p99 ms", "vs fp32", "size", "made in", "peak", "added")

TORCH_FP32, ORT_FP32 = "fp32 (torch)", "fp32 (ort)"
OURS_TORCH, OURS_ORT = CONTESTANTS[OURS].files
RATIOS = (
    ("onnxruntime: fxpasses int8 over fp32", ORT_FP32, OURS_ORT),
    ("onnxruntime: fxpasses over quantize_static MinMax", "quantize_static MinMax (ort)", OURS_ORT),
    ("torch: fxpasses int8 over fp32", TORCH_FP32, OURS_TORCH),
    ("torch: fxpasses over torch.ao", "torch.ao FX x86 (torch)", OURS_TORCH),
    ("fxpasses: onnxruntime int8 over torch int8", OURS_TORCH, OURS_ORT),
)
"""Comparisons: a sentence, the contestant expected to be slower, and the one expected to be faster."""
FASTEST_PEER = "onnxruntime: fxpasses over the fastest peer"


@dataclass(frozen=True)
class Outcome:
    """All measurements of one net."""

    model: str
    data: str
    entries: list[Entry]
    comparisons: dict[str, Comparison]
    bench: BenchResult

    def rows(self) -> list[dict[str, Any]]:
        """One row for each contestant, ready for JSON."""
        return [self._row(entry) for entry in self.entries]

    def _row(self, entry: Entry) -> dict[str, Any]:
        made = entry.made
        row: dict[str, Any] = {"name": entry.name, "quantize_s": made.seconds, "why_not": made.why_not}
        row |= {"peak_bytes": made.peak_bytes, "added_bytes": made.added_bytes}
        if entry.runner is None:
            return row
        return row | {
            "size_bytes": None if entry.path is None else file_bytes(entry.path),
            "top1": self.comparisons[entry.name].top1,
            **self.comparisons[entry.name].vs_fp32,
            "latency": self.bench.latency(entry.name)[0],
        }

    def ratios(self) -> dict[str, tuple[float, float, float]]:
        """Median and quartiles of each ratio for which both contestants ran."""
        names = self.bench.runners
        pairs = {what: (a, b) for what, a, b in RATIOS if a in names and b in names}
        fastest = self.fastest_peer()
        if fastest is not None and OURS_ORT in names:
            pairs[f"{FASTEST_PEER}, {fastest}"] = (fastest, OURS_ORT)
        found = {what: self.bench.ratio(*pair) for what, pair in pairs.items()}
        return {what: (ratio.median, ratio.q25, ratio.q75) for what, ratio in found.items()}

    def fastest_peer(self) -> str | None:
        """Name of the peer whose int8 file is the fastest in onnxruntime; fxpasses is left out."""
        int8 = [name for name, runs_as in self.bench.runners.items() if runs_as == (ONNXRUNTIME, "int8")]
        peers = [name for name in int8 if name != OURS_ORT]
        return min(peers, key=lambda name: median(self.bench.cell().milliseconds(name)), default=None)


def open_case(spec: str, root: Path | None) -> tuple[LoadedModel, DataSource, Path | None]:
    """Open a net, images, and the file of its weights; random weights, noise and None if one is not under ``root``."""
    weights, data = WEIGHTS_AND_DATA.get(spec, ("", ""))
    kind, _, folder = data.partition("=")
    if root is not None and weights and (path := root / "models" / weights).is_file() and (root / folder).is_dir():
        model = load_model(spec, path)
        return model, open_dataset(f"{kind}={root / folder}", model), path
    model = load_model(spec)
    return model, open_dataset(f"random={'x'.join(map(str, model.input_shape))}", model), None


def quantized_by_all(
    spec: str, model: LoadedModel, case: Case, chosen: argparse.Namespace, console: Console
) -> list[Entry]:
    """Runners of the float model in both runtimes, then of every contestant's result."""
    fxpasses.export.to_onnx(fxpasses.fuse(fxpasses.capture(model.module, model.example_inputs())), case.float_onnx)
    entries = [
        Entry(TORCH_FP32, torch_runner(model.module, "fp32", name=TORCH_FP32)),
        Entry(ORT_FP32, onnx_runner(case.float_onnx, "fp32", name=ORT_FP32), path=case.float_onnx),
    ]
    for key in dict.fromkeys((OURS, *chosen.peers)):
        console.print(f"{spec}: {key}", style="dim")
        entries += entries_of(key, case, chosen.limit)
    return entries


def measure(spec: str, chosen: argparse.Namespace, console: Console, folder: Path) -> Outcome:
    """Quantize one net with every contestant, and measure all results together."""
    model, source, weights = open_case(spec, chosen.data_root)
    batches = (batch.numpy() for batch in source.calibration(chosen.calib))
    entries = quantized_by_all(spec, model, write_case(folder, spec, weights, batches), chosen, console)
    runners = [entry.runner for entry in entries if entry.runner is not None]
    console.print(f"{spec}: latency of {len(runners)} contestants, then accuracy", style="dim")
    # torch.ao's layers are fastest at the batch size they get first
    settings = BenchSettings(runs=chosen.runs, max_seconds=chosen.seconds)
    bench = benchmark(runners, lambda batch: model.example_inputs(batch)[0], settings)
    limit = NOISE_FOR_EVALUATION if weights is None else chosen.eval
    comparisons = compare(runners, source.evaluation(limit=limit))
    data = source.name if weights is not None else f"{source.name}, random weights"
    return Outcome(spec, data, entries, comparisons, bench)


def table_of(outcome: Outcome) -> Table:
    """Table of one net."""
    images = next(iter(outcome.comparisons.values())).images
    table = Table(title=f"{outcome.model}, {outcome.data}, {images} images", title_justify="left", title_style="bold")
    for i, column in enumerate(
        ("", "top-1", "agrees", "SQNR", "p50 ms", "p99 ms", "vs fp32", "size", "made in", "peak", "added")
    ):
        table.add_column(column, justify="right" if i else "left", no_wrap=True)
    for row in outcome.rows():
        if row["why_not"]:
            continue
        latency = row["latency"]
        table.add_row(
            row["name"],
            percent_text(row["top1"]),
            percent_text(row["top1_agreement"]),
            decibel_text(row["sqnr_db"]),
            three_digits(latency["p50_ms"]),
            three_digits(latency["p99_ms"]),
            f"{latency['speedup_vs_fp32']:.2f}×" if "speedup_vs_fp32" in latency else "",
            bytes_text(row["size_bytes"]),
            f"{row['quantize_s']:.1f} s" if row["quantize_s"] else "",
            bytes_text(row["peak_bytes"]),
            bytes_text(row["added_bytes"]),
        )
    return table


def print_outcome(outcome: Outcome, console: Console) -> None:
    """Print the table, the contestants that did not run, and the ratios."""
    console.print(table_of(outcome))
    for entry in outcome.entries:
        if entry.made.why_not:
            console.print(f"  {entry.name}: {entry.made.why_not}", markup=False, highlight=False)
    for what, (middle, low, high) in outcome.ratios().items():
        console.print(f"  {what}: [bold]{middle:.2f}×[/bold] ({low:.2f}–{high:.2f})", highlight=False)
    console.print()


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = " ".join(MODELS)
    parser.add_argument("--models", nargs="+", default=MODELS, metavar="MODEL", help=f"or all; default: {default}")
    parser.add_argument("--peers", nargs="+", default=tuple(CONTESTANTS), choices=tuple(CONTESTANTS), metavar="PEER")
    parser.add_argument("--data-root", type=Path, help="folder with models/, imagenet/, cifar10/, mnist/; or noise")
    parser.add_argument("--calib", type=int, default=128, help="calibration images (%(default)s)")
    parser.add_argument("--eval", type=int, help="evaluation images; default: all there are")
    parser.add_argument("--runs", type=int, default=200, help="timed calls of each contestant (%(default)s)")
    parser.add_argument("--seconds", type=float, default=120.0, help="at most, for the latency of a net (%(default)s)")
    parser.add_argument("--limit", type=float, default=1800.0, help="seconds one quantization may take (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there as well, after every net")
    chosen = parser.parse_args(arguments)
    chosen.models = ALL_MODELS if chosen.models == ["all"] else chosen.models
    return chosen


def compared(spec: str, chosen: argparse.Namespace, console: Console, said: Console) -> dict[str, Any]:
    """Measure one net, print the result, and return it for JSON."""
    with tempfile.TemporaryDirectory() as folder:
        outcome = measure(spec, chosen, said, Path(folder))
        print_outcome(outcome, console)
        return {"model": spec, "data": outcome.data, "rows": outcome.rows(), "ratios": outcome.ratios()}


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = parse(arguments)
    console, said = Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE), Console(stderr=True)
    torch.set_num_threads(1)
    collected: list[dict[str, Any]] = []
    try:
        for spec in chosen.models:
            collected.append(compared(spec, chosen, console, said))
            if chosen.json:
                today = datetime.now(timezone.utc).date().isoformat()
                write_json_atomic(chosen.json, {"date": today, "environment": environment(), "models": collected})
    except FxPassesError as error:
        said.print(f"error: {error}", markup=False)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
