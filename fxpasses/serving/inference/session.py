"""The session of one worker: opened as the toolkit opens every int8 file, with threads and memory as a server needs.

Several pools of spinning threads would take each other's time, hence few threads that do not spin. Patterns of memory
are kept for each shape that comes, hence none; what was reserved for odd shapes is given back where shapes vary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fxpasses.export.onnx_reader import start_session
from fxpasses.layouts.deployed_model import DeployedModel, TensorSpec

from .refusal import Refusal

if TYPE_CHECKING:
    import onnxruntime

Array = np.ndarray[Any, Any]
_FREE_SIZE = 8
"""Value of free sizes while the session is warmed up."""


@dataclass(frozen=True)
class ModelSession:
    """A model in onnxruntime's CPU provider. :meth:`run` may be called from any thread."""

    model: DeployedModel
    session: onnxruntime.InferenceSession
    run_options: onnxruntime.RunOptions

    def run(self, arrays: list[Array]) -> list[Array]:
        """Outputs for one value of each input.

        Raises:
            Refusal: onnxruntime does not compute this input; its own words are told.
        """
        from onnxruntime.capi import onnxruntime_pybind11_state as refusals

        feed = {spec.name: array for spec, array in zip(self.model.inputs, arrays, strict=True)}
        try:
            return list(self.session.run(None, feed, self.run_options))
        except (refusals.InvalidArgument, refusals.Fail, refusals.RuntimeException) as error:
            raise Refusal(400, f"onnxruntime refuses this input: {' '.join(str(error).split())[:300]}") from error

    def warm_up(self, max_batch: int) -> None:
        """Run once at the smallest and once at the largest batch, so that the first client waits no longer than others.

        What the largest batch needs is reserved then, and memory does not grow later.
        """
        for batch in {1, max_batch if self.model.is_batched else 1}:
            self.run([np.zeros(_sizes(spec, batch), spec.dtype) for spec in self.model.inputs])


def open_session(model: DeployedModel, threads: int) -> ModelSession:
    """Open a session on ``threads`` threads, in the process that uses it, since threads do not survive a fork.

    Raises:
        InputError: onnxruntime refuses the file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    run_options = onnxruntime.RunOptions()
    if model.has_other_free_sizes:
        run_options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return ModelSession(model, start_session(model.path, options), run_options)


def values_of(spec: TensorSpec, batch: int) -> int:
    """The number of values in the tensor for a batch of ``batch`` rows; other free sizes count as 1."""
    sizes = [size for size in spec.shape if isinstance(size, int)]
    return math.prod(sizes) * batch


def _sizes(spec: TensorSpec, batch: int) -> tuple[int, ...]:
    shape = [size if isinstance(size, int) else _FREE_SIZE for size in spec.shape]
    return (batch, *shape[1:]) if shape and isinstance(spec.shape[0], str) else tuple(shape)
