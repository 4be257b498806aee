"""The methods of ``quantize`` beside ``static``: how each lowers a graph and writes it as ONNX, and what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import fx

from fxpasses.errors import InputError
from fxpasses.export.onnx_file import to_onnx
from fxpasses.export.onnx_half import store_as_bfloat16
from fxpasses.export.optimizer import Optimizer, optimize_onnx
from fxpasses.export.runners import TORCH
from fxpasses.fusion import fuse
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.precision.half import rounded_to_half, to_half
from fxpasses.tracing import capture

from .method_options import BF16, FP16


def lowering_of(method: str, keep_float: Sequence[str]) -> Lowering:
    """The method of that name with its settings; ``static`` is none of them."""
    if method not in (FP16, BF16):
        raise InputError(f"--method {method}", why="this version does not have it yet", fix="use static, fp16 or bf16")
    return Half(method, tuple(keep_float))


class Lowering(Protocol):
    """One method with its settings.

    ``method`` is as the command line spells it; ``precision`` names files and variants; ``target`` is None where the
    result does not depend on one.
    """

    @property
    def method(self) -> str: ...

    @property
    def precision(self) -> str: ...

    @property
    def target(self) -> str | None: ...

    def captured(self, model: LoadedModel) -> fx.GraphModule:
        """The fused FLOAT graph to lower."""

    def lowered(self, graph: fx.GraphModule) -> fx.GraphModule:
        """The LOWERED graph."""

    def to_onnx(self, graph: fx.GraphModule, lowered: fx.GraphModule, path: Path, optimizer: Optimizer) -> Path:
        """Write the ONNX file of the LOWERED graph."""

    def recipe(self) -> Mapping[str, Any]:
        """Every setting, ready for JSON."""

    def remarks(self) -> list[str]:
        """What a user must know of the artifacts, as sentences."""

    def why_slow(self, runtime: str) -> str:
        """Why it may be slower than float32 on a CPU, and what it is good for all the same."""


@dataclass(frozen=True)
class Half:
    """``fp16`` and ``bf16``."""

    precision: str
    keep_float: tuple[str, ...] = ()
    target: None = None

    @property
    def method(self) -> str:
        return self.precision

    def captured(self, model: LoadedModel) -> fx.GraphModule:
        return fuse(capture(model.module, model.example_inputs()))

    def lowered(self, graph: fx.GraphModule) -> fx.GraphModule:
        return to_half(graph, self.precision, self.keep_float)

    def to_onnx(self, graph: fx.GraphModule, lowered: fx.GraphModule, path: Path, optimizer: Optimizer) -> Path:
        if self.precision == "fp16":
            return to_onnx(lowered, path)
        to_onnx(rounded_to_half(graph, lowered), path)
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
            return "what is gained is half the size" + (", and speed on CPUs with AMX" if runtime == TORCH else "")
        how = "torch falls back to slow kernels" if runtime == TORCH else "onnxruntime casts to float32 and back"
        return f"without fp16 arithmetic in the CPU, {how}; what is gained is half the size, and speed on a GPU"
