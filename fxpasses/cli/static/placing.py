"""``--placement measured``: leave operators in float if that makes the file faster in onnxruntime on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path

from torch import Tensor, fx

from fxpasses.errors import InputError
from fxpasses.export.onnx_writer.write import to_onnx
from fxpasses.measure.benchmark import BenchSettings, benchmark
from fxpasses.measure.runners import onnx_runner
from fxpasses.quantization.config import LARGEST_BITS, QuantConfig
from fxpasses.sensitivity.search.placement import Placement, place

from ..terminal import Terminal

PLACEMENTS = ALL, MEASURED = ("all", "measured")
_BENCH = BenchSettings(runs=100, max_seconds=10)
_BEFORE, _OTHER = "before", "other"


def check_placement(placement: str, config: QuantConfig) -> None:
    """Raise InputError if the placement is unknown or does not fit the settings."""
    if placement not in PLACEMENTS:
        raise InputError(f"--placement {placement}", why="there is no such", fix=f"use {' or '.join(PLACEMENTS)}")
    if placement == MEASURED and config.activation_bits != LARGEST_BITS:
        raise InputError(
            f"--placement measured with --activation-bits {config.activation_bits}",
            why="a CPU, which would measure, has no kernels for these, and every operator would go back to float",
            fix="drop one of them",
        )


def measured_placement(
    observed: fx.GraphModule, config: QuantConfig, inputs: Callable[[int], tuple[Tensor, ...]], terminal: Terminal
) -> Placement:
    """Find the operators to leave in float, by latency in onnxruntime on one thread at batch 1.

    Args:
        observed: OBSERVED with ``every_tensor=True``, and calibrated.
        inputs: makes inputs of a given batch size.
    """
    with tempfile.TemporaryDirectory() as folder, terminal.step("placement", 0) as step:
        times = _Files(Path(folder), inputs)
        found = place(observed, config, times.faster, step.at)
    for line in lines_of(found):
        terminal.results.print(line, markup=False)
    return found


class _Files:
    """Time two graphs alternately. Their ONNX files are kept, because the next comparison uses one of the two again."""

    def __init__(self, folder: Path, inputs: Callable[[int], tuple[Tensor, ...]]) -> None:
        self.folder, self.inputs = folder, inputs
        self.written: dict[int, tuple[fx.GraphModule, Path]] = {}
        """Files by the identity of their graph. The graph is kept, too, so that no other graph gets the same identity.
        """
        self.numbers = count()

    def faster(self, before: fx.GraphModule, other: fx.GraphModule) -> float:
        """Speedup of ``other`` over ``before``: 2.0 means twice as fast."""
        runners = [onnx_runner(self._file(gm), "int8", name=n) for gm, n in ((before, _BEFORE), (other, _OTHER))]
        self.written = {key: kept for key, kept in self.written.items() if key in (id(before), id(other))}
        return benchmark(runners, self.inputs, _BENCH).ratio(_BEFORE, _OTHER).median

    def _file(self, gm: fx.GraphModule) -> Path:
        if id(gm) not in self.written:
            self.written[id(gm)] = gm, to_onnx(gm, self.folder / f"{next(self.numbers)}.onnx", verify=False)
        return self.written[id(gm)][1]


def lines_of(found: Placement) -> list[str]:
    """Lines for the terminal: every operator tried, and the result."""
    return [
        f"placement  {t.nodes} × {t.operator} in float: {t.speedup:.2f} times as fast, "
        f"{'so they stay there' if t.in_float else 'so they stay in int8'}"
        for t in found.tried
    ]
