"""Cases of errors from benchmarks: a call that fails, a part of its remedy, and the call with the remedy applied."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import torch
from matrix_documents import device_bench, written
from remedy_subjects import Case
from rich.console import Console
from stub_runners import StubRunner
from tiny_graphs import quantized
from torch import Tensor, fx, nn, ones, randn

import fxpasses
from fxpasses.cli.folders.bench_input import input_maker
from fxpasses.cli.matrix.made import FolderVariants
from fxpasses.cli.matrix.run import require_any, require_pair
from fxpasses.cli.options.bench import MatrixChoice, MatrixOptions, names_of
from fxpasses.cli.terminal import Terminal
from fxpasses.measure.matrix.device_runner import require_device
from fxpasses.measure.matrix.imported import imported_rows, read_device_bench
from fxpasses.measure.matrix.variants import MatrixVariant, baseline_of


class FixedBatch(nn.Module):
    """Takes two samples, and no other number."""

    def forward(self, x: Tensor) -> Tensor:
        return (x.reshape(2, 3) @ ones(3, 4)).relu()


def _fixed() -> fx.GraphModule:
    return fxpasses.capture(FixedBatch().eval(), randn(2, 3))


def _without_gpu(device: str) -> None:
    with patch.object(torch.cuda, "is_available", return_value=False):
        require_device(device)


def _of_folder(folder: Path, graph: fx.GraphModule | None) -> FolderVariants:
    terminal = Terminal(Console(), Console())
    return FolderVariants({}, folder, "dense", folder, MatrixChoice(folder), terminal, int8_graph=graph)


_VARIANTS = [MatrixVariant(StubRunner("dense torch fp32"))]
BENCH_CASES: dict[str, Case] = {
    "fxpasses/cli/folders/bench_input.py:_require_taken": (
        lambda folder: input_maker({"vocabulary": None}, _fixed())(4),
        "ask for --batch 2",
        lambda folder: input_maker({"vocabulary": None}, _fixed())(2),
    ),
    "fxpasses/cli/options/bench.py:refuse_alone": (
        lambda folder: MatrixOptions(out=folder).refuse_alone(),
        "add --matrix",
        lambda folder: MatrixOptions().refuse_alone(),
    ),
    "fxpasses/cli/matrix/made.py:graph": (
        lambda folder: _of_folder(folder, None).graph,
        "make the folder again",
        lambda folder: _of_folder(folder, quantized("conv_bn_relu")).graph,
    ),
    "fxpasses/cli/matrix/run.py:require_any": (
        lambda folder: require_any([], folder, ["it has no graph"]),
        "ask for other precisions or runtimes",
        lambda folder: require_any(_VARIANTS, folder, []),
    ),
    "fxpasses/cli/matrix/run.py:require_pair": (
        lambda folder: require_pair(folder, True, folder, True),
        "name the dense model's folder first",
        lambda folder: require_pair(folder, False, folder, True),
    ),
    "fxpasses/measure/matrix/device_runner.py:require_device": (
        lambda folder: _without_gpu("cuda"),
        "leave it out",
        lambda folder: _without_gpu("cpu"),
    ),
    "fxpasses/cli/options/bench.py:names_of": (
        lambda folder: names_of("int9", "--precision", ("fp32", "int8")),
        "choose of fp32, int8",
        lambda folder: names_of("int8", "--precision", ("fp32", "int8")),
    ),
    "fxpasses/measure/matrix/imported.py:imported_rows": (
        lambda folder: imported_rows(written(folder, device_bench(), device_bench())),
        "give one of the two",
        lambda folder: imported_rows(written(folder, device_bench())),
    ),
    "fxpasses/measure/matrix/imported.py:read_device_bench": (
        lambda folder: read_device_bench(written(folder, device_bench(runs=3))[0]),
        "run it there again",
        lambda folder: read_device_bench(written(folder, device_bench())[0]),
    ),
    "fxpasses/measure/matrix/imported.py:read_device_bench#2": (
        lambda folder: read_device_bench(written(folder, device_bench(median_ms=1.0))[0]),
        "run it there again",
        lambda folder: read_device_bench(written(folder, device_bench())[0]),
    ),
    "fxpasses/measure/matrix/variants.py:baseline_of": (
        lambda folder: baseline_of(_VARIANTS, "torch"),
        "name one of: dense torch fp32",
        lambda folder: baseline_of(_VARIANTS, "dense torch fp32"),
    ),
}
