"""The engine of int8 kernels on NVIDIA GPUs: the choice of a kernel for each integer operation.

An operation without a kernel is computed by the exact reference on the CPU and is named in the notes: it gives the same
integers, but is far slower. Operators that only move values are torch's own, on the GPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import fx

from fxpasses.graph.meta_keys import SHAPE
from fxpasses.graph.pass_runner import copy_graph
from fxpasses.quantization.int8.exactness import float_islands, margins
from fxpasses.quantization.int8.int8_calls import FloatResult, Int8Call, find_float_results, find_int8_calls, layer_of

from ..kernel import Kernel
from ..reference import ReferenceKernel, ReferenceResult, integer_table, reference_kernel
from ..replace_calls import lower
from .fusing import take_in_sums
from .launching.operands import why_sums_overflow
from .launching.tuning import TileTable, milliseconds
from .layers import CudaConv, CudaFloatResult, CudaLinear
from .matrices import CudaMatmul
from .net import IN_FLOAT, MOVED, ON_HOST, CudaNet
from .on_host import OnHost
from .pointwise import CudaAdd, CudaCat, CudaEntrance, CudaMul, CudaTable
from .pools import CudaGlobalAverage, CudaMean, CudaWindows
from .readiness import is_interpreted, require_kernels
from .volumes import CudaVolumes, why_not_volumes

_BYTES = (torch.uint8, torch.int8)

MOST_AVERAGED = 2**23
"""Largest number of centred bytes, each up to 255, whose sum fits into 32 bits."""


def to_cuda(gm: fx.GraphModule, device: str | torch.device = "cuda", *, autotune: bool = False) -> CudaNet:
    """Lower a QUANTIZED graph to kernels on a GPU.

    Args:
        gm: the graph. It is not changed.
        device: the GPU; ``"cpu"`` where Triton's interpreter stands in for one.
        autotune: measure tiles at the first call of each shape, and remember them in a file.

    Raises:
        InputError: there is no such GPU, it is too old, or Triton is missing.
    """
    device = torch.device(device)
    require_kernels(device)
    there = gm if device.type == "cpu" else copy_graph(gm).to(device)
    choosing = _Choosing(gm, device)
    net = lower(
        there,
        choosing.kernel_for,
        entrance_for=partial(CudaEntrance, device=device),
        result_for=choosing.result_for,
    )
    net = take_in_sums(net, find_int8_calls(there), choosing.proved)
    again = partial(to_cuda, device=device, autotune=autotune)
    placement = choosing.placement | dict.fromkeys(float_islands(gm), IN_FLOAT)
    return CudaNet(net, (gm, again), device, placement, _tiles(device, autotune)).eval()


def _tiles(device: torch.device, autotune: bool) -> TileTable:
    if is_interpreted():
        return TileTable("Triton's interpreter")
    table = TileTable(torch.cuda.get_device_name(device), measure=milliseconds if autotune else None)
    table.read()
    return table


class _Choosing:
    """Chooses kernels for one graph.

    Attributes:
        placement: the kernel of each operation by its name, or why it has none.
        proved: integer tensors that float32 rounds as exact arithmetic does.
    """

    def __init__(self, gm: fx.GraphModule, device: torch.device) -> None:
        self.device, self.placement = device, dict[str, str]()
        self.proved = {margin.node for margin in margins(gm) if margin.is_proof}
        self._host_calls = {call.name: call for call in find_int8_calls(gm).values()}
        self._host_results = {result.name: result for result in find_float_results(gm).values()}

    def kernel_for(self, call: Int8Call) -> Kernel | None:
        """The kernel of one integer operation; None to call the operator itself."""
        if call.shares_scale and call.clamp is None and call.operator.name not in KERNELS:
            self.placement[call.name] = MOVED
            return reference_kernel(call)
        why = self._why_no_kernel(call)
        if why is not None:
            self.placement[call.name] = why + ON_HOST
            return OnHost(ReferenceKernel(self._host_calls[call.name]))
        return self._placed(call.name, self._kernel(call))

    def result_for(self, result: FloatResult) -> Kernel:
        why = why_sums_overflow(result.layer, result.x)
        if why is not None:
            self.placement[result.name] = why + ON_HOST
            return OnHost(ReferenceResult(self._host_results[result.name]))
        return self._placed(result.name, CudaFloatResult(result))

    def _placed(self, name: str, kernel: Kernel) -> Kernel:
        self.placement[name] = type(kernel).__name__
        return kernel

    def _why_no_kernel(self, call: Int8Call) -> str | None:
        name, known = call.operator.name, KERNELS.get(call.operator.name)
        if any(x.grid.dtype not in _BYTES for x in (*call.x, call.y)):
            return "its integers have 16 bits, and kernels take bytes"
        if len({x.grid.dtype for x in call.x}) > 1 and not (known and known.takes_both):
            return "its inputs are bytes with a sign and without"
        if call.layer is not None:
            return known.why_not(call) if known else f"there is no kernel for {name}"
        if call.operator.elementwise and call.clamp is None:
            return None
        return known.why_not(call) if known else f"there is no kernel for {name}"

    def _kernel(self, call: Int8Call) -> Kernel:
        if call.operator.elementwise and call.clamp is None:
            return CudaTable(call, integer_table(self._host_calls[call.name]), self.device)
        return KERNELS[call.operator.name].make(call, call.name in self.proved, self.device)


def _shapes(call: Int8Call) -> list[tuple[int, ...]]:
    return [tuple(node.meta[SHAPE]) for node in call.inputs]


def _why_not_layer(call: Int8Call) -> str | None:
    return why_sums_overflow(layer_of(call), call.x[0])


def _why_not_windows(call: Int8Call) -> str | None:
    return None if len(_shapes(call)[0]) == 4 else f"there is no kernel for {call.operator} of a single image"


def _why_not_global_average(call: Int8Call) -> str | None:
    size = call.settings.get("output_size", call.node.args[1] if len(call.node.args) > 1 else None)
    is_global = len(_shapes(call)[0]) == 4 and size in (1, (1, 1), [1, 1])
    return None if is_global else "only averages of whole images have a kernel"


def _why_not_mean(call: Int8Call) -> str | None:
    return "its sums may exceed 32 bits" if math.prod(_shapes(call)[0]) > MOST_AVERAGED else None


@dataclass(frozen=True)
class _KernelOf:
    """The kernel of an operator.

    Attributes:
        make: from the call, whether float32 rounds its result as exact arithmetic does, and the device.
        why_not: why the kernel cannot take a call; None if it can.
        takes_both: whether its inputs may be bytes with a sign and without.
    """

    make: Callable[[Int8Call, bool, torch.device], Kernel]
    why_not: Callable[[Int8Call], str | None] = lambda call: None
    takes_both: bool = False


_CONV = _KernelOf(lambda call, proved, device: CudaConv(call, proved), _why_not_layer)
_VOLUMES = _KernelOf(lambda call, proved, device: CudaVolumes(call, proved), why_not_volumes)
_WINDOWS = _KernelOf(lambda call, proved, device: CudaWindows(call, device), _why_not_windows)
KERNELS: dict[str, _KernelOf] = {
    "conv1d": _CONV,
    "conv2d": _CONV,
    **dict.fromkeys(("conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _VOLUMES),
    "linear": _KernelOf(lambda call, proved, device: CudaLinear(call, proved), _why_not_layer),
    "max_pool2d": _WINDOWS,
    "avg_pool2d": _WINDOWS,
    "adaptive_avg_pool2d": _KernelOf(
        lambda call, proved, device: CudaGlobalAverage(call, device), _why_not_global_average
    ),
    "mean": _KernelOf(lambda call, proved, device: CudaMean(call, device), _why_not_mean),
    "matmul": _KernelOf(CudaMatmul, takes_both=True),
    "add": _KernelOf(CudaAdd),
    "mul": _KernelOf(CudaMul),
    "cat": _KernelOf(CudaCat, takes_both=True),
}
"""Operators with a kernel, beside those of one tensor that are tables."""
