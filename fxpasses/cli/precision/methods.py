"""Methods of ``quantize`` other than ``static``: how each one lowers a graph, writes ONNX, and describes the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import fx

from fxpasses.errors import GraphError
from fxpasses.export.onnx_forms.half import store_as_bfloat16
from fxpasses.export.onnx_writer.optimizer import Optimizer, optimize_onnx
from fxpasses.export.onnx_writer.write import to_onnx
from fxpasses.graph.edit import operator_name
from fxpasses.measure.runners import TORCH
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.passes.fusion import fuse
from fxpasses.precision.dynamic import to_dynamic
from fxpasses.precision.half import rounded_to_half, to_half
from fxpasses.precision.weight_only import WeightOnlyConfig, to_weight_only
from fxpasses.quantization.numbers.targets import resolved_target

from ..folders.captured_model import captured_model
from ..options.quantize import BF16, DYNAMIC, FP16, WEIGHT_ONLY, QuantizeOptions


def lowering_of(options: QuantizeOptions) -> Lowering:
    """Return the method with its settings; every ``--method`` except ``static``.

    Raises:
        InputError: a setting has a value that is not allowed.
    """
    kept = tuple(options.keep_float or ())
    if options.method == DYNAMIC:
        return Dynamic(resolved_target(options.target), kept)
    if options.method == WEIGHT_ONLY:
        return WeightOnly(WeightOnlyConfig(options.bits, options.group_size, options.compute), kept)
    assert options.method in (FP16, BF16), options.method
    return Half(options.method, kept)


class Lowering(Protocol):
    """One method with its settings.

    ``method`` is as the command line spells it; ``precision`` names files and variants; ``target`` is None if the
    result does not depend on one.
    """

    @property
    def method(self) -> str: ...

    @property
    def precision(self) -> str: ...

    @property
    def target(self) -> str | None: ...

    @property
    def keep_float(self) -> tuple[str, ...]: ...

    def captured(self, model: LoadedModel) -> fx.GraphModule:
        """The fused FLOAT graph to lower."""

    def lowered(self, graph: fx.GraphModule) -> fx.GraphModule:
        """The LOWERED graph."""

    def to_onnx(
        self,
        graph: fx.GraphModule,
        lowered: fx.GraphModule,
        path: Path,
        optimizer: Optimizer,
        opset: int | None = None,
    ) -> Path:
        """Write the ONNX file of the LOWERED graph."""

    def recipe(self) -> Mapping[str, Any]:
        """Every setting, ready for JSON."""

    def remarks(self) -> list[str]:
        """Limitations of the artifacts that a user must know, as sentences."""

    def why_slow(self, runtime: str) -> str:
        """Why the result may be slower than float32 on a CPU, and what its advantage is."""


@dataclass(frozen=True)
class Half:
    """The methods ``fp16`` and ``bf16``."""

    precision: str
    keep_float: tuple[str, ...] = ()
    target: None = None

    @property
    def method(self) -> str:
        return self.precision

    def captured(self, model: LoadedModel) -> fx.GraphModule:
        return fuse(captured_model(model))

    def lowered(self, graph: fx.GraphModule) -> fx.GraphModule:
        return to_half(graph, self.precision, self.keep_float)

    def to_onnx(
        self,
        graph: fx.GraphModule,
        lowered: fx.GraphModule,
        path: Path,
        optimizer: Optimizer,
        opset: int | None = None,
    ) -> Path:
        if self.precision == "fp16":
            return to_onnx(lowered, path, opset=opset)
        to_onnx(rounded_to_half(graph, lowered), path, opset=opset)
        optimize_onnx(path, path, optimizer)
        store_as_bfloat16(path)
        return path

    def recipe(self) -> Mapping[str, Any]:
        return {"method": self.method, "keep_float": list(self.keep_float)}

    def remarks(self) -> list[str]:
        if self.precision == "fp16":
            return []
        return [
            "onnxruntime has no bfloat16 kernels for CPUs: model.bf16.onnx stores its weights as bfloat16, which "
            "halves the file, and computes in float32"
        ]

    def why_slow(self, runtime: str) -> str:
        if self.precision == "bf16":
            return "the gain is half the size" + (", and speed on CPUs with AMX" if runtime == TORCH else "")
        how = "torch falls back to slow kernels" if runtime == TORCH else "onnxruntime casts to float32 and back"
        return f"without fp16 arithmetic in the CPU, {how}; the gain is half the size, and speed on a GPU"


def open_capture(model: LoadedModel) -> fx.GraphModule:
    """Capture and fuse a FLOAT graph, with attention layers expanded, so that their linear layers are nodes."""
    graph = captured_model(model)
    if any(operator_name(graph, node) == "attention" for node in graph.graph.nodes):
        try:
            graph = captured_model(model, method="export")
        except GraphError:  # attention then stays float; the log reports it
            return fuse(graph)
    return fuse(graph)


@dataclass(frozen=True)
class WeightOnly:
    """Int8 or int4 weights, multiplied in float."""

    config: WeightOnlyConfig
    keep_float: tuple[str, ...] = ()
    method: str = WEIGHT_ONLY
    target: None = None

    @property
    def precision(self) -> str:
        return f"int{self.config.bits}"

    def captured(self, model: LoadedModel) -> fx.GraphModule:
        return open_capture(model)

    def lowered(self, graph: fx.GraphModule) -> fx.GraphModule:
        return to_weight_only(graph, self.config, self.keep_float)

    def to_onnx(
        self,
        graph: fx.GraphModule,
        lowered: fx.GraphModule,
        path: Path,
        optimizer: Optimizer,
        opset: int | None = None,
    ) -> Path:
        return to_onnx(lowered, path, opset=opset)

    def recipe(self) -> Mapping[str, Any]:
        return {"method": self.method, **asdict(self.config), "keep_float": list(self.keep_float)}

    def remarks(self) -> list[str]:
        found = ["only weights of linear and recurrent layers are integers: activations are float32, as all the rest"]
        if self.config.compute == "int8":
            found.append(
                "onnxruntime's MatMulNBits (accuracy_level 4) rounds activations to int8 by blocks while it "
                "multiplies, torch does not; --compute float takes the same floats in both, and is slower"
            )
        return found

    def why_slow(self, runtime: str) -> str:
        if runtime == TORCH:
            return "weights are unpacked at every call; what is gained is memory"
        return (
            "weights are unpacked at every call; --compute int8 is faster"
            if self.config.compute == "float"
            else ("its layers are too small to gain; what is gained is size")
        )


@dataclass(frozen=True)
class Dynamic:
    """Int8 weights, and activations that are quantized to uint8 at every call."""

    target: str
    keep_float: tuple[str, ...] = ()
    method: str = DYNAMIC
    precision: str = "int8"

    def captured(self, model: LoadedModel) -> fx.GraphModule:
        return open_capture(model)

    def lowered(self, graph: fx.GraphModule) -> fx.GraphModule:
        return to_dynamic(graph, self.target, self.keep_float)

    def to_onnx(
        self,
        graph: fx.GraphModule,
        lowered: fx.GraphModule,
        path: Path,
        optimizer: Optimizer,
        opset: int | None = None,
    ) -> Path:
        return to_onnx(lowered, path, opset=opset)

    def recipe(self) -> Mapping[str, Any]:
        return {"method": self.method, "target": self.target, "keep_float": list(self.keep_float)}

    def remarks(self) -> list[str]:
        return [
            "activations get one scale for a whole batch: what an image gives can depend on what it is batched with, "
            "and with an LSTM on the threads that onnxruntime splits the batch over"
        ]

    def why_slow(self, runtime: str) -> str:
        slow = "ranges are measured at every call, which pays for large layers only"
        return f"{slow}; recurrent layers go step by step in Python" if runtime == TORCH else slow
