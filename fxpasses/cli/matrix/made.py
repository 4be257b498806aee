"""The variants of a matrix: the artifacts of a folder, and further variants made from its float graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import fx

from fxpasses.capturing.attempts import capture
from fxpasses.errors import FxPassesError, InputError
from fxpasses.export.files import file_bytes
from fxpasses.export.pt2.plain import load_float_program
from fxpasses.export.pt2.save_and_load import load
from fxpasses.export.torch_int8 import to_torch
from fxpasses.measure.matrix.device_runner import DeviceRunner
from fxpasses.measure.matrix.variants import CPU, CUDA, MatrixVariant, variant_name
from fxpasses.measure.model_size import module_bytes
from fxpasses.measure.runners import ONNXRUNTIME, TORCH, onnx_runner, torch_runner
from fxpasses.passes.fusion import fuse
from fxpasses.precision.half import HALVES

from ..folders.artifacts import FLOAT_ONNX, INT8_ONNX, INT8_PT2
from ..folders.rebuild import float_graph
from ..options.bench import MatrixChoice
from ..precision.methods import Half
from ..terminal import Terminal

FP32, INT8 = "fp32", "int8"
FLOAT_PT2 = "model.fp32.pt2"
"""File of a pruned float model, written by ``prune``, since a pruned model cannot be made again from its name."""


@dataclass
class FolderVariants:
    """The variants of one folder; ``notes`` names the variants that are left out.

    Attributes:
        structure: dense or pruned.
        scratch: folder for ONNX files that are made because ``folder`` lacks them.
    """

    report: Mapping[str, Any]
    folder: Path
    structure: str
    scratch: Path
    choice: MatrixChoice
    terminal: Terminal
    notes: list[str] = field(default_factory=list)
    float_graph: fx.GraphModule | None = None
    int8_graph: fx.GraphModule | None = None

    def variants(self) -> list[MatrixVariant]:
        """All variants that were requested and can be made."""
        self._open()
        found = []
        for precision in self.choice.precisions:
            for runtime in self.choice.runtimes:
                found += self._those_that_can_be_made(runtime, precision)
        return found

    def _those_that_can_be_made(self, runtime: str, precision: str) -> list[MatrixVariant]:
        try:
            return list(self._variant(runtime, precision))
        except FxPassesError as error:
            self._left_out(runtime, precision, str(error).splitlines()[0])
            return []

    @property
    def graph(self) -> fx.GraphModule:
        """A graph of the folder, to read the model's inputs from.

        Raises:
            InputError: the folder has neither an int8 graph nor a float one.
        """
        graph = self.float_graph or self.int8_graph
        if graph is None:
            raise InputError(
                f"nothing in {self.folder} tells what the model takes",
                why=f"there is no {INT8_PT2}, and its float model cannot be had",
                fix="make the folder again: fxpasses quantize MODEL --data DATA --out DIR",
            )
        return graph

    def _open(self) -> None:
        with self.terminal.step(f"load {self.folder.name}"):
            if (self.folder / FLOAT_PT2).is_file() and "pruning" in self.report:
                module, examples = load_float_program(self.folder / FLOAT_PT2)
                self.float_graph = fuse(capture(module, examples))
            else:
                self.float_graph = float_graph(self.report, self.folder, self.terminal)
            if self.report.get("method", "static") == "static" and (self.folder / INT8_PT2).is_file():
                self.int8_graph = load(self.folder / INT8_PT2)

    def _variant(self, runtime: str, precision: str) -> Iterator[MatrixVariant]:
        if runtime == ONNXRUNTIME:
            yield from self._onnx(precision)
            return
        graph = self._graph(precision)
        if graph is None:
            self._left_out(runtime, precision, "the folder does not have its graph")
            return
        size = module_bytes(graph)
        if CPU in self.choice.devices:
            module = to_torch(graph) if precision == INT8 else graph
            name = variant_name(self.structure, TORCH, precision)
            yield MatrixVariant(torch_runner(module, precision, name=name), self.structure, CPU, size)
        if CUDA in self.choice.devices and precision != INT8:
            name = variant_name(self.structure, TORCH, precision, CUDA)
            twin = self._graph(precision)
            assert twin is not None
            runner = DeviceRunner(twin.to(CUDA), precision, name)
            yield MatrixVariant(runner, self.structure, CUDA, size)

    def _graph(self, precision: str) -> fx.GraphModule | None:
        if precision == INT8:
            return self.int8_graph
        if self.float_graph is None or precision == FP32:
            return self.float_graph
        return Half(precision).lowered(self.float_graph)

    def _onnx(self, precision: str) -> Iterator[MatrixVariant]:
        if CPU not in self.choice.devices:
            return
        path = self._onnx_file(precision)
        if path is None:
            self._left_out(ONNXRUNTIME, precision, "the folder does not have its file")
            return
        name = variant_name(self.structure, ONNXRUNTIME, precision)
        yield MatrixVariant(onnx_runner(path, precision, name=name), self.structure, CPU, file_bytes(path))

    def _onnx_file(self, precision: str) -> Path | None:
        named = {FP32: FLOAT_ONNX, INT8: INT8_ONNX}
        if precision in named:
            path = self.folder / named[precision]
            return path if path.is_file() else None
        if self.float_graph is None:
            return None
        assert precision in HALVES
        path, lowered = self.scratch / f"{self.structure}.{precision}.onnx", Half(precision).lowered(self.float_graph)
        return Half(precision).to_onnx(self.float_graph, lowered, path, "onnxruntime")

    def _left_out(self, runtime: str, precision: str, why: str) -> None:
        self.notes.append(f"{variant_name(self.structure, runtime, precision)} is left out: {why}")
