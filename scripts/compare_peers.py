"""fxpasses beside torch.ao, onnxruntime's quantize_static and NNCF: accuracy and speed on the same nets and images.

python scripts/compare_peers.py --data-root DATA
python scripts/compare_peers.py --models torchvision/resnet18 --runs 300 --json peers.json

DATA holds models/ (weights), imagenet/ and cifar10/; a net whose weights or images are not there gets random weights
(its BatchNorms settled) and noise: agreement and speed still say something, accuracy is left out. Everything runs on
one thread at batch 1; all contestants of a net take turns, and ratios are medians of paired rounds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peers import PEERS, Case, Entry, ours
from rich.console import Console
from rich.table import Table

import fxpasses
from fxpasses.errors import FxPassesError
from fxpasses.export.accuracy import Comparison, compare
from fxpasses.export.benchmark import BenchSettings, benchmark
from fxpasses.export.environment import environment
from fxpasses.export.files import write_json_atomic
from fxpasses.export.latency import BenchResult
from fxpasses.export.model_size import file_bytes
from fxpasses.export.report_numbers import bytes_text, decibel_text, percent_text, three_digits
from fxpasses.export.runners import OnnxRunner, onnx_runner, torch_runner
from fxpasses.models.data_source import DataSource
from fxpasses.models.datasets import open_dataset
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.zoo import load_model

WEIGHTS_AND_DATA = {
    "torchvision/mobilenet_v2": ("imagenet_mobilenet_v2_bnfolded.pt", "images=imagenet"),
    "torchvision/squeezenet1_1": ("imagenet_squeezenet1_1.pt", "images=imagenet"),
    "cifar_resnet20": ("cifar10_resnet20.pt", "cifar10=cifar10"),
}
MODELS = ("torchvision/resnet18", *WEIGHTS_AND_DATA)
NOISE_FOR_EVALUATION = 64
WIDTH_OF_A_FILE = 120

TORCH_FP32, ORT_FP32 = "fp32 (torch)", "fp32 (ort)"
OURS_TORCH, OURS_ORT = "fxpasses (torch)", "fxpasses (ort)"
RATIOS = (
    ("onnxruntime: fxpasses int8 over fp32", ORT_FP32, OURS_ORT),
    ("onnxruntime: fxpasses over quantize_static", "quantize_static (ort)", OURS_ORT),
    ("torch: fxpasses int8 over fp32", TORCH_FP32, OURS_TORCH),
    ("torch: fxpasses over torch.ao", "torch.ao FX x86 (torch)", OURS_TORCH),
)
"""What is compared: a sentence, the slower one as we hope, the faster one."""


@dataclass(frozen=True)
class Outcome:
    """Everything measured of one net."""

    model: str
    data: str
    entries: list[Entry]
    comparisons: dict[str, Comparison]
    bench: BenchResult

    def rows(self) -> list[dict[str, Any]]:
        """One per contestant, ready for JSON."""
        return [self._row(entry) for entry in self.entries]

    def _row(self, entry: Entry) -> dict[str, Any]:
        row: dict[str, Any] = {"name": entry.name, "quantize_s": entry.seconds, "why_not": entry.why_not}
        if entry.runner is None:
            return row
        is_file = isinstance(entry.runner, OnnxRunner)
        return row | {
            "size_bytes": file_bytes(entry.runner.path) if is_file else None,  # type: ignore[attr-defined]  # a file
            "top1": self.comparisons[entry.name].top1,
            **self.comparisons[entry.name].vs_fp32,
            "latency": self.bench.latency(entry.name)[0],
        }

    def ratios(self) -> dict[str, tuple[float, float, float]]:
        """Median and quartiles of each ratio both of whose contestants ran."""
        names = self.bench.runners
        found = {what: self.bench.ratio(a, b) for what, a, b in RATIOS if a in names and b in names}
        return {what: (ratio.median, ratio.q25, ratio.q75) for what, ratio in found.items()}


def open_case(spec: str, root: Path | None) -> tuple[LoadedModel, DataSource, bool]:
    """A net with its weights and images where they are under ``root``, else with noise; and whether they were."""
    weights, data = WEIGHTS_AND_DATA.get(spec, ("", ""))
    kind, _, folder = data.partition("=")
    if root is not None and weights and (root / "models" / weights).is_file() and (root / folder).is_dir():
        model = load_model(spec, root / "models" / weights)
        return model, open_dataset(f"{kind}={root / folder}", model), True
    model = load_model(spec)
    return model, open_dataset(f"random={'x'.join(map(str, model.input_shape))}", model), False


def measure(spec: str, chosen: argparse.Namespace, console: Console, folder: Path) -> Outcome:
    """Quantize one net with everyone, and measure all of them together."""
    model, source, is_real = open_case(spec, chosen.data_root)
    float_graph = fxpasses.fuse(fxpasses.capture(model.module, model.example_inputs()))
    float_onnx = fxpasses.export.to_onnx(float_graph, folder / "fp32.onnx")
    case = Case(model.module, model.example_inputs(), lambda: source.calibration(chosen.calib), float_onnx, folder)
    entries = [
        Entry(TORCH_FP32, torch_runner(model.module, "fp32", name=TORCH_FP32)),
        Entry(ORT_FP32, onnx_runner(float_onnx, "fp32", name=ORT_FP32)),
    ]
    console.print(f"{spec}: fxpasses", style="dim")
    entries += ours(case)
    for name, peer in PEERS.items():
        console.print(f"{spec}: {name}", style="dim")
        with redirect_stdout(sys.stderr):  # some draw progress bars there
            entries.append(peer(case))
    runners = [entry.runner for entry in entries if entry.runner is not None]
    console.print(f"{spec}: accuracy, then latency of {len(runners)} contestants", style="dim")
    limit = chosen.eval if is_real else NOISE_FOR_EVALUATION
    comparisons = compare(runners, source.evaluation(limit=limit))
    settings = BenchSettings(runs=chosen.runs, max_seconds=chosen.seconds)
    bench = benchmark(runners, lambda batch: model.example_inputs(batch)[0], settings)
    return Outcome(spec, source.name if is_real else f"{source.name}, random weights", entries, comparisons, bench)


def table_of(outcome: Outcome) -> Table:
    """The table of one net."""
    images = next(iter(outcome.comparisons.values())).images
    table = Table(title=f"{outcome.model}, {outcome.data}, {images} images", title_justify="left", title_style="bold")
    for i, column in enumerate(("", "top-1", "agrees", "SQNR", "p50 ms", "p99 ms", "vs fp32", "size", "made in")):
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
        )
    return table


def print_outcome(outcome: Outcome, console: Console) -> None:
    """The table, who did not run, and the ratios."""
    console.print(table_of(outcome))
    for entry in outcome.entries:
        if entry.why_not:
            console.print(f"  {entry.name}: {entry.why_not}", markup=False, highlight=False)
    for what, (median, low, high) in outcome.ratios().items():
        console.print(f"  {what}: [bold]{median:.2f}×[/bold] ({low:.2f}–{high:.2f})", highlight=False)
    console.print()


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS, metavar="MODEL", help=f"default: {' '.join(MODELS)}")
    parser.add_argument("--data-root", type=Path, help="folder with models/, imagenet/, cifar10/; default: noise")
    parser.add_argument("--calib", type=int, default=128, help="calibration images (%(default)s)")
    parser.add_argument("--eval", type=int, help="evaluation images; default: all there are")
    parser.add_argument("--runs", type=int, default=200, help="timed calls of each contestant (%(default)s)")
    parser.add_argument("--seconds", type=float, default=120.0, help="at most, for the latency of a net (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there as well")
    return parser.parse_args(arguments)


def compared(spec: str, chosen: argparse.Namespace, console: Console, said: Console) -> dict[str, Any]:
    """Measure one net, print what came out, and give it for JSON."""
    with tempfile.TemporaryDirectory() as folder:
        outcome = measure(spec, chosen, said, Path(folder))
        print_outcome(outcome, console)
        return {"model": spec, "data": outcome.data, "rows": outcome.rows(), "ratios": outcome.ratios()}


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = parse(arguments)
    console, said = Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE), Console(stderr=True)
    torch.set_num_threads(1)
    try:
        collected = [compared(spec, chosen, console, said) for spec in chosen.models]
    except FxPassesError as error:
        said.print(f"error: {error}", markup=False)
        return 2
    if chosen.json:
        write_json_atomic(chosen.json, {"environment": environment(), "models": collected})
    return 0


if __name__ == "__main__":
    sys.exit(main())
