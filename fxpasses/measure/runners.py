"""Runners: every artifact, in either runtime, as a callable ``logits = runner(x)`` with its own number of threads.

Accuracy and latency are measured on runners only, so compared artifacts always run under the same conditions: CPU, no
gradients, the same threads. onnxruntime uses all its optimizations, and its threads stop spinning after a call;
otherwise they would take time from the next measurement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from fxpasses.errors import InputError
from fxpasses.export.onnx_reader import start_session
from fxpasses.export.onnx_refusals import SILENT
from fxpasses.signature.examples import tensors_in
from fxpasses.signature.outputs import tensors_of

if TYPE_CHECKING:
    import onnxruntime

TORCH = "torch"
ONNXRUNTIME = "onnxruntime"
FLOAT_PRECISIONS = ("fp32",)
"""Precisions of the references that others are compared with."""


class Runner(Protocol):
    """A callable that computes logits, with its name, runtime, precision and threads.

    ``name`` is unique among the runners compared; ``runtime`` is ``"torch"`` or ``"onnxruntime"``.
    """

    @property
    def name(self) -> str: ...

    @property
    def runtime(self) -> str: ...

    @property
    def precision(self) -> str: ...

    @property
    def threads(self) -> int: ...

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The model's first output, ``[B, ...]`` float32."""

    def outputs(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """All tensors of the model's output, in order."""

    def at_threads(self, threads: int) -> Runner:
        """The same artifact on another number of threads."""


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let torch use this number of threads inside the block, and restore the old number after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class TorchRunner:
    """Runner of an ``nn.Module`` in eval mode."""

    module: nn.Module = field(repr=False)
    precision: str
    threads: int = 1
    name: str = ""
    runtime: str = TORCH

    def __call__(self, *inputs: Tensor) -> Tensor:
        if torch.get_num_threads() == self.threads:  # setting them costs microseconds, which a benchmark would measure
            with torch.inference_mode():
                return first_tensor(self.module(*inputs), self.name)
        with torch_threads(self.threads):
            return self(*inputs)

    def outputs(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        with torch_threads(self.threads), torch.inference_mode():
            return tuple(tensors_of(self.module(*inputs)))

    def at_threads(self, threads: int) -> TorchRunner:
        return replace(self, threads=_checked_threads(threads))


@dataclass(frozen=True)
class OnnxRunner:
    """Runner of an ONNX file in onnxruntime's CPU provider."""

    path: Path
    precision: str
    session: onnxruntime.InferenceSession = field(repr=False)
    input_names: tuple[str, ...]
    threads: int = 1
    name: str = ""
    runtime: str = ONNXRUNTIME

    def __call__(self, *inputs: Tensor) -> Tensor:
        return self.outputs(*inputs)[0]

    def outputs(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        from onnxruntime.capi import onnxruntime_pybind11_state as refusals

        tensors = tensors_in(inputs)
        arrays = {name: x.numpy() for name, x in zip(self.input_names, tensors, strict=True)}
        try:
            outputs = self.session.run(None, arrays)
        except refusals.InvalidArgument as error:
            raise InputError(
                f"{self.path} does not take inputs {[tuple(x.shape) for x in tensors]}",
                why=" ".join(str(error).split()),
                fix="give it the model's shapes, or export with dynamic_batch=True",
            ) from error
        return tuple(torch.from_numpy(output) for output in outputs)

    def at_threads(self, threads: int) -> OnnxRunner:
        if threads == self.threads:
            return self
        return onnx_runner(self.path, self.precision, threads, self.name)


def torch_runner(module: nn.Module, precision: str, threads: int = 1, name: str | None = None) -> TorchRunner:
    """Create a runner of a module, which is set to eval mode.

    Args:
        module: takes tensors ``[B, ...]``, gives logits (or a tuple or dict that starts with them).
        precision: ``"fp32"``, ``"int8"`` and the like.
        threads: number of threads that torch may use.
        name: by default ``"torch int8"`` and the like.

    Raises:
        InputError: ``threads`` is not positive.
    """
    return TorchRunner(module.eval(), precision, _checked_threads(threads), name or f"{TORCH} {precision}")


def onnx_runner(path: str | Path, precision: str, threads: int = 1, name: str | None = None) -> OnnxRunner:
    """Create a runner of an ONNX file.

    Args:
        path: the file.
        precision: ``"fp32"``, ``"int8"`` and the like.
        threads: for the work inside one operator; operators run one after the other.
        name: by default ``"onnxruntime int8"`` and the like.

    Raises:
        InputError: there is no such file, onnxruntime refuses it, or ``threads`` is not positive.
    """
    path, threads = Path(path), _checked_threads(threads)
    if not path.is_file():
        why = "it is a folder" if path.is_dir() else "there is no such file"
        raise InputError(f"cannot open {path}", why=why, fix="give the path of an .onnx file")
    session = start_session(path, session_options(threads))
    names = tuple(given.name for given in session.get_inputs())
    return OnnxRunner(path, precision, session, names, threads, name or f"{ONNXRUNTIME} {precision}")


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """Settings of onnxruntime for all measurements."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = SILENT
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def first_tensor(output: object, name: str) -> Tensor:
    """The logits in a model's output: the tensor, or the first one of a tuple, list, dict or dataclass.

    Raises:
        InputError: there is no tensor in it.
    """
    while not isinstance(output, Tensor):
        values = list(output.values()) if isinstance(output, Mapping) else output
        if is_dataclass(values) and not isinstance(values, type):
            values = [getattr(values, f.name) for f in fields(values)]
        values = [v for v in values if v is not None] if isinstance(values, (tuple, list)) else values
        if not isinstance(values, (tuple, list)) or not values:
            raise InputError(
                f"{name} gave a {type(output).__name__}",
                why="logits are a tensor, or the first one of a tuple, list or dict",
                fix="wrap the model so that it returns its logits",
            )
        output = values[0]
    return output


def _checked_threads(threads: int) -> int:
    if threads < 1:
        raise InputError(f"threads: {threads}", why="at least one is needed", fix="ask for 1 or more")
    return threads
