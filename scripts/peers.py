"""The other post-training quantizers, each used the way its own documentation says, with its own defaults.

torch.ao     ``torch.ao.quantization`` FX mode, engine x86, ``get_default_qconfig_mapping("x86")``
ort static   ``onnxruntime.quantization.quantize_static``: QDQ, uint8 activations, int8 weights per channel, MinMax,
             after ``quant_pre_process``
nncf         ``nncf.quantize`` on the ONNX model, where NNCF is installed

Every contestant, ours included, gets the same float model and the same calibration batches.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import fxpasses
from fxpasses.export.runners import Runner, onnx_runner, torch_runner


@dataclass(frozen=True)
class Case:
    """A float model, and what to calibrate it on.

    Attributes:
        module: in eval mode.
        example_inputs: a batch for tracing.
        calibration: gives the same batches at each call.
        float_onnx: the model as an ONNX file, BatchNorm folded.
        folder: for files.
    """

    module: nn.Module
    example_inputs: tuple[Tensor, ...]
    calibration: Callable[[], Iterable[Tensor]]
    float_onnx: Path
    folder: Path


@dataclass(frozen=True)
class Entry:
    """One contestant: what it made, how long that took, or why it could not."""

    name: str
    runner: Runner | None
    seconds: float | None = None
    why_not: str | None = None


def ours(case: Case) -> list[Entry]:
    """One int8 graph, in both runtimes."""
    started = time.perf_counter()
    int8 = fxpasses.quantize(case.module, case.example_inputs, case.calibration())
    path = fxpasses.export.to_onnx(int8, case.folder / "fxpasses.onnx")
    seconds = time.perf_counter() - started
    return [
        Entry(
            "fxpasses (torch)", torch_runner(fxpasses.export.to_torch(int8), "int8", name="fxpasses (torch)"), seconds
        ),
        Entry("fxpasses (ort)", onnx_runner(path, "int8", name="fxpasses (ort)"), seconds),
    ]


def torch_ao(case: Case) -> Entry:
    """The outgoing FX mode of torch itself."""
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    name = "torch.ao FX x86 (torch)"
    started = time.perf_counter()
    torch.backends.quantized.engine = "x86"
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            prepared = prepare_fx(case.module, get_default_qconfig_mapping("x86"), case.example_inputs)
            for batch in case.calibration():
                prepared(batch)
            converted = convert_fx(prepared)
            converted(*case.example_inputs)
    except (RuntimeError, NotImplementedError, torch.fx.proxy.TraceError) as error:  # untraceable, or no int8 kernel
        return Entry(name, None, why_not=_first_line(error))
    return Entry(name, torch_runner(converted, "int8", name=name), time.perf_counter() - started)


def ort_static(case: Case) -> Entry:
    """onnxruntime's own quantizer."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    name = "quantize_static (ort)"
    prepared, quantized = case.folder / "prepared.onnx", case.folder / "quantize_static.onnx"
    started = time.perf_counter()
    try:
        quant_pre_process(case.float_onnx, prepared)
        quantize_static(
            prepared,
            quantized,
            _Batches(case, prepared),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    except (RuntimeError, ValueError, AttributeError) as error:  # shapes it cannot infer, operators it cannot place
        return Entry(name, None, why_not=_first_line(error))
    return Entry(name, onnx_runner(quantized, "int8", name=name), time.perf_counter() - started)


def nncf(case: Case) -> Entry:
    """Intel's quantizer, on the ONNX model."""
    name = "NNCF (ort)"
    if find_spec("nncf") is None:
        return Entry(name, None, why_not='not installed (pip install "fxpasses[peers]")')
    import nncf as package
    import onnx

    model = onnx.load(case.float_onnx)
    batches = [{_input_name(case.float_onnx): item[None].numpy()} for batch in case.calibration() for item in batch]
    started = time.perf_counter()
    try:
        quantized = package.quantize(model, package.Dataset(batches), subset_size=len(batches))
    except (RuntimeError, ValueError) as error:  # operators it does not know
        return Entry(name, None, why_not=_first_line(error))
    onnx.save(quantized, path := case.folder / "nncf.onnx")
    return Entry(name, onnx_runner(path, "int8", name=name), time.perf_counter() - started)


PEERS: dict[str, Callable[[Case], Entry]] = {"torch.ao": torch_ao, "quantize_static": ort_static, "nncf": nncf}


class _Batches:
    """The calibration batches as quantize_static reads them."""

    def __init__(self, case: Case, path: Path) -> None:
        name = _input_name(path)
        self._feeds: Iterator[dict[str, Any]] = ({name: batch.numpy()} for batch in case.calibration())

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)


def _input_name(path: Path) -> str:
    import onnx

    return str(onnx.load(path, load_external_data=False).graph.input[0].name)


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
