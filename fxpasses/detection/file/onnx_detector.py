"""``OnnxDetector``: a detector's ONNX file in onnxruntime, called as the detector in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fxpasses.errors import InputError
from fxpasses.export.onnx_reader import read_onnx, start_session
from fxpasses.export.onnx_refusals import SILENT

from ..float_steps import Detections
from ..images import Images, checked_images

OUTPUTS = ("boxes", "scores", "labels", "count")


class OnnxDetector:
    """A file written by :meth:`fxpasses.detection.Detector.to_onnx`, in onnxruntime's CPU provider.

    Attributes:
        path: the file.
        image_size: height and width of the images that it takes.
    """

    def __init__(self, path: str | Path, threads: int = 1) -> None:
        """Load a file.

        Raises:
            InputError: it is no file of a detector, or onnxruntime refuses it.
        """
        import onnxruntime as ort

        self.path = Path(path)
        model = read_onnx(self.path, weights=False)
        names = tuple(output.name for output in model.graph.output)
        sizes = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim] if model.graph.input else []
        if names != OUTPUTS or len(sizes) != 4:
            raise InputError(
                f"{path} is not a detector's file",
                why=f"its outputs are {', '.join(names)}, not {', '.join(OUTPUTS)}",
                fix="write one: fx.quantize_detector(model, batches).to_onnx(path, image_size)",
            )
        self.image_size, self._input = (int(sizes[2]), int(sizes[3])), model.graph.input[0].name
        options = ort.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = SILENT, threads
        self._session = start_session(self.path, options)

    def __call__(self, images: Images) -> Detections:
        """Detections of each image, as the detector in PyTorch gives them.

        Raises:
            InputError: there is no image, or one of another size.
        """
        checked = checked_images(images)
        for number, image in enumerate(checked):
            if tuple(image.shape[1:]) != self.image_size:
                height, width = (int(size) for size in image.shape[1:])
                raise InputError(
                    f"image {number} is {height}x{width}",
                    why=f"{self.path} takes images of {self.image_size[0]}x{self.image_size[1]} alone",
                    fix=f"resize it, or write a file for it: detector.to_onnx(path, image_size=({height}, {width}))",
                )
        found: list[Any] = self._session.run(list(OUTPUTS), {self._input: torch.stack(checked).numpy()})
        return unpadded(dict(zip(OUTPUTS, map(torch.from_numpy, found), strict=True)))


def unpadded(outputs: Mapping[str, Tensor]) -> Detections:
    """Detections of each image without the rows that pad them."""
    kept = ("boxes", "labels", "scores")
    return [{name: outputs[name][image][: int(count)] for name in kept} for image, count in enumerate(outputs["count"])]
