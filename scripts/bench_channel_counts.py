"""Time of convolutions by their number of channels, in both runtimes, float32 and int8, to find the best multiples.

python scripts/bench_channel_counts.py [--kind conv3 conv1 depthwise] [--counts 16 20 24 28 32 36 40 48 56 64]

Nets of eight equal layers after a 1x1 convolution of an image, one thread, batch 1, all in turns in one run. A cell is
the median in microseconds; if a larger number of channels takes less time, the difference in percent comes after it.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

import fxpasses as fx
from fxpasses.cpu import cpu_name
from fxpasses.measure.benchmark import BenchSettings, benchmark
from fxpasses.measure.latency import Cell
from fxpasses.measure.runners import Runner, onnx_runner, torch_runner
from fxpasses.models.training.settle import settle
from fxpasses.quantization.numbers.targets import machine_target

LAYERS = 8
COUNTS = (16, 18, 20, 24, 28, 32, 36, 40, 48, 56, 64)
KINDS = {"conv3": (3, False, 16), "conv1": (1, False, 28), "depthwise": (3, True, 28)}
"""Size of the kernel, whether each channel has its own, and height and width of the map."""
FORMS = ("onnxruntime fp32", "onnxruntime int8", "torch fp32", "torch int8")


def net(channels: int, kind: str) -> nn.Module:
    """Net of equal layers after one that makes the channels."""
    kernel, depthwise, _ = KINDS[kind]
    groups = channels if depthwise else 1
    layers: list[nn.Module] = [nn.Conv2d(3, channels, 1)]
    for _ in range(LAYERS):
        layers += [nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=groups), nn.ReLU()]
    return settle(nn.Sequential(*layers))


def runners_of(channels: int, kind: str, folder: Path) -> list[Runner]:
    """Runners for each of ``FORMS``, named ``"FORM CHANNELS"``."""
    model, inputs = net(channels, kind), _image(kind, 2)
    graph = fx.fuse(fx.capture(model, (inputs,)))
    int8 = fx.quantize(model, (inputs,), [inputs])
    float_file = fx.export.to_onnx(graph, folder / f"{channels}.fp32.onnx")
    int8_file = fx.export.to_onnx(int8, folder / f"{channels}.int8.onnx")
    return [
        onnx_runner(float_file, "fp32", name=f"onnxruntime fp32 {channels}"),
        onnx_runner(int8_file, "int8", name=f"onnxruntime int8 {channels}"),
        torch_runner(graph, "fp32", name=f"torch fp32 {channels}"),
        torch_runner(fx.export.to_torch(int8), "int8", name=f"torch int8 {channels}"),
    ]


def measured(kind: str, counts: list[int], seconds: float) -> Table:
    """Table of the times of all nets of a kind."""
    with tempfile.TemporaryDirectory() as folder:
        runners = [runner for count in counts for runner in runners_of(count, kind, Path(folder))]
        found = benchmark(runners, lambda batch: _image(kind, batch), BenchSettings(runs=200, max_seconds=seconds))
    cell = found.cell()
    table = Table("channels", *FORMS, title=kind)
    for count in counts:
        table.add_row(str(count), *(_text(cell, form, count, counts) for form in FORMS))
    return table


def _image(kind: str, batch: int) -> torch.Tensor:
    size = KINDS[kind][2]
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(0))


def _text(cell: Cell, form: str, count: int, counts: list[int]) -> str:
    time = {c: sorted(cell.milliseconds(f"{form} {c}"))[len(cell.milliseconds(f"{form} {c}")) // 2] for c in counts}
    more = time[count] / min(time[c] for c in counts if c >= count) - 1
    return f"{1000 * time[count]:.0f}" + (f" (+{100 * more:.0f} %)" if more > 0 else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--counts", nargs="+", type=int, default=list(COUNTS))
    parser.add_argument("--seconds", type=float, default=90.0, help="for each kind, at most")
    options = parser.parse_args()
    console = Console(width=100)
    console.print(f"{cpu_name()}; target auto is {machine_target().name}")
    for kind in options.kind:
        console.print(measured(kind, sorted(options.counts), options.seconds))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
