"""Quantizers of ONNX models: each prepares, and returns the function to time, from the float file to the int8 file.

onnxruntime  ``quantize_static`` after ``quant_pre_process``: QDQ, uint8 activations, int8 weights per channel; MinMax,
             Entropy and Percentile calibration, all else its defaults. It looks at one batch at a time
             (``CalibStridedMinMax``), without which the histograms of 256 images take tens of gigabytes
nncf         ``nncf.quantize`` on the ONNX model, with its defaults and all calibration images
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fxpasses.export.exact_sums import runtime_saturates
from peers.case import Case

Work = Callable[[], None]


def minmax(case: Case) -> Work:
    """Quantizer of onnxruntime, with ranges from the smallest to the largest value."""
    return _quantize_static(case, "MinMax")


def entropy(case: Case) -> Work:
    """Quantizer of onnxruntime, with ranges of least Kullback-Leibler divergence."""
    return _quantize_static(case, "Entropy")


def percentile(case: Case) -> Work:
    """Quantizer of onnxruntime, with ranges of 99.999 % of the values."""
    return _quantize_static(case, "Percentile")


def _quantize_static(case: Case, method: str) -> Work:
    """Quantizer with a calibration method; ``reduce_range``, as documented, if onnxruntime's kernels saturate here."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    def quantize() -> None:
        prepared = case.folder / f"{method}.prepared.onnx"
        quant_pre_process(case.float_onnx, prepared)
        quantize_static(
            prepared,
            case.folder / f"{method.lower()}.onnx",
            Batches(case, input_name(prepared)),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod[method],
            reduce_range=runtime_saturates(),
            extra_options={"CalibStridedMinMax": 1},
        )

    return quantize


def nncf(case: Case) -> Work:
    """Quantizer of Intel, which reads single images."""
    import nncf as package
    import onnx

    def quantize() -> None:
        name = input_name(case.float_onnx)
        images = sum(len(batch) for batch in case.calibration())
        dataset = package.Dataset(Images(case), lambda image: {name: image})
        quantized = package.quantize(onnx.load(case.float_onnx), dataset, subset_size=images)
        onnx.save(quantized, case.folder / "nncf.onnx")

    return quantize


class Images:
    """Calibration images one by one, ``[1, ...]``, from the first one at each iteration."""

    def __init__(self, case: Case) -> None:
        self._case = case

    def __iter__(self) -> Iterator[Any]:
        for batch in self._case.calibration():
            yield from (batch[i : i + 1] for i in range(len(batch)))


class Batches:
    """Calibration batches as ``quantize_static`` reads them: a range of them at a time."""

    def __init__(self, case: Case, name: str) -> None:
        self._case, self._name = case, name
        self._left = case.calibration()

    def __len__(self) -> int:
        return self._case.batches

    def set_range(self, start_index: int, end_index: int) -> None:
        """Continue with these batches."""
        self._left = self._case.calibration(start_index, end_index)

    def get_next(self) -> dict[str, Any] | None:
        """Return the next batch by name of input; None at the end."""
        batch = next(self._left, None)
        return None if batch is None else {self._name: batch}


def input_name(path: Path) -> str:
    """Name of an ONNX model's first input."""
    import onnx

    return str(onnx.load(path, load_external_data=False).graph.input[0].name)
