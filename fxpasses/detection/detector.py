"""``Detector``: a quantized detector that is called as the float one, with a list of images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from fxpasses.agreement.parity_check import ParityReport, parity
from fxpasses.errors import InputError
from fxpasses.export.torch_int8 import to_torch

from .float_steps import (
    Detections,
    GridSizes,
    feature_sizes,
    one_stage_detections,
    proposals_of,
    regions_of,
    two_stage_detections,
)
from .images import Images, Prepared, image_batches, prepared
from .kinds import Kind, Model, without_layers, without_values
from .parts import IMAGES, REGIONS

SizesOf = Callable[[tuple[int, ...]], GridSizes]


class Detector(nn.Module):
    """A detector of torchvision whose layers are int8 graphs; all other steps are its own, in float.

    Attributes:
        sizes_of: height and width of each feature map for the shape ``(C, H, W)`` of images.
        graphs: QUANTIZED graphs by the name of the part: ``"images"``, and ``"regions"`` for Faster R-CNN.
        kind: the class of the float detector.
        steps: a copy of the float detector without layers: its transform, anchors, thresholds and suppression.
    """

    def __init__(
        self, model: Model, kind: Kind, graphs: Mapping[str, fx.GraphModule], sizes_of: SizesOf | None = None
    ) -> None:
        """Make a detector.

        Args:
            sizes_of: gives height and width of each feature map for the shape ``(C, H, W)`` of images; by default the
                backbone of ``model`` does.
        """
        super().__init__()
        self.kind, self.graphs = kind, dict(graphs)
        self.steps = without_layers(model, kind)
        self.int8 = nn.ModuleDict({name: to_torch(graph) for name, graph in graphs.items()})
        self.sizes_of = sizes_of or partial(feature_sizes, without_values(model.backbone))
        self._sizes: dict[tuple[int, ...], GridSizes] = {}
        self.eval()

    @torch.no_grad()
    def forward(self, images: Images, targets: object = None) -> Detections:
        """Detections for each image: boxes ``[n, 4]`` in its pixels, labels and scores, the best first.

        Args:
            images: tensors ``[C, H, W]`` with values from 0 to 1, of any sizes that the float detector takes.
            targets: ignored; the float detector has them for training.

        Raises:
            InputError: there is no image, or something that is no image.
        """
        given = prepared(self.steps, images)
        return self.detections(self.int8[IMAGES](given.batch.tensors), given, self.int8)

    def detections(self, outputs: Mapping[str, Any], given: Prepared, parts: Any) -> Detections:
        """Detections from the outputs of the first part; ``parts`` has the second one of Faster R-CNN."""
        if self.kind is not Kind.FASTER_RCNN:
            sizes = self.grid_sizes(given.batch.tensors)
            return one_stage_detections(self.steps, self.kind, outputs, sizes, given)
        proposals = proposals_of(self.steps, outputs["scores"], outputs["deltas"], given)
        return two_stage_detections(self.steps, parts[REGIONS], outputs["features"], proposals, given)

    def grid_sizes(self, images: Tensor) -> GridSizes:
        """Height and width of each feature map for prepared images ``[B, C, H, W]``."""
        size = tuple(images.shape[1:])
        if size not in self._sizes:
            self._sizes[size] = self.sizes_of(size)
        return self._sizes[size]

    def parity(self, batches: Iterable[Any]) -> dict[str, ParityReport]:
        """Compare the integers of each part in PyTorch and in onnxruntime.

        Args:
            batches: lists of images, or ``(images, targets)``.
        """
        prepared_batches = [prepared(self.steps, images) for images in image_batches(batches)]
        found = {IMAGES: parity(self.graphs[IMAGES], [(given.batch.tensors,) for given in prepared_batches])}
        if self.kind is Kind.FASTER_RCNN:
            regions = [(self._regions(given),) for given in prepared_batches]
            found[REGIONS] = parity(self.graphs[REGIONS], regions)
        return found

    @torch.no_grad()
    def _regions(self, given: Prepared) -> Tensor:
        outputs = self.int8[IMAGES](given.batch.tensors)
        proposals = proposals_of(self.steps, outputs["scores"], outputs["deltas"], given)
        return regions_of(self.steps, outputs["features"], proposals, given)

    def to_onnx(self, path: str | Path, image_size: tuple[int, int], *, verify: bool = True) -> Path:
        """Write the whole detector as one ONNX file for images of one size; see :mod:`fxpasses.detection.file`.

        Args:
            image_size: height and width of the images that the file takes.
            verify: whether to run the file once beside this detector before it takes its name.

        Raises:
            InputError: the file cannot be written, or the size is no size of an image.
            GraphError: the file does not run, or gives other detections.
        """
        from .file.whole_file import write_detector

        return write_detector(self, Path(path), image_size, verify=verify)

    def save(self, path: str | Path) -> Path:
        """Write the detector as one file for PyTorch, which ``fx.load`` opens: the same integers, the same boxes.

        Args:
            path: a ``.fxdet`` file.

        Raises:
            InputError: the file cannot be written, or its float steps have code of their own, which no file holds.
            GraphError: a graph cannot be saved.
        """
        from .saved.save_and_load import save_detector

        return save_detector(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Detector:
        """Read a file of :meth:`save`; it may come from a stranger: nothing in it is run or unpickled.

        Raises:
            InputError: it is missing, damaged, or no saved detector.
        """
        from .saved.save_and_load import load_detector

        return load_detector(Path(path), cls)

    def train(self, mode: bool = True) -> Detector:
        """Stay in eval mode.

        Raises:
            InputError: ``mode`` is True: int8 layers do not train.
        """
        if mode:
            raise InputError(
                "train() of a quantized detector",
                why="its layers are integers, which no optimizer changes",
                fix="train the float detector, and quantize it again; detector.eval() leaves this one as it is",
            )
        return super().train(mode)
