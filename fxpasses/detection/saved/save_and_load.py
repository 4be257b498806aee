"""``save_detector`` and ``load_detector``: a quantized detector in one file, for PyTorch.

The file holds the QUANTIZED graphs, as ``fx.export.save`` writes them, and the settings of the float steps. What is to
be written is read back first, and has to find the same boxes in random outputs of the heads.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from fxpasses.errors import InputError
from fxpasses.export.pt2.save_and_load import load, save
from fxpasses.export.pt2_records.records import RefusedError, field, integer, items, refusing, text
from fxpasses.graph.stages import Stage, stage_of
from fxpasses.signature.examples import examples_of, specs_in
from fxpasses.signature.free_sizes import free_sizes
from fxpasses.signature.outputs import output_tensors

from ..float_steps import Detections
from ..images import noise, prepared
from ..kinds import Kind
from ..parts import IMAGES, REGIONS
from .container import AGAIN, ENDING, PART_ENDING, read_container, write_container
from .described import described, steps_of
from .level_sizes import LevelSizes, level_names, tried_shapes

if TYPE_CHECKING:
    from ..detector import Detector

FORMAT = 1
_MOST_LEVELS = 64
_TRIED = ((53, 71), (64, 40))
"""Sizes of the images on which a detector that was read back is compared: neither is a multiple of another."""
_OUTPUTS = {
    Kind.SSD: ("bbox_regression", "cls_logits"),
    Kind.RETINANET: ("bbox_regression", "cls_logits"),
    Kind.FCOS: ("bbox_ctrness", "bbox_regression", "cls_logits"),
    Kind.FASTER_RCNN: ("deltas", "features", "scores"),
}


def save_detector(detector: Detector, path: Path) -> Path:
    """Write the file; see :meth:`fxpasses.detection.Detector.save`."""
    if path.suffix != ENDING:
        fix = f"name it {path.with_suffix(ENDING).name}"
        raise InputError(f"{path}", why=f"a saved detector is a {ENDING} file", fix=fix)
    about: dict[str, Any] = {"format": FORMAT, "kind": detector.kind.value}
    about["steps"] = described(detector.steps, detector.kind)
    with tempfile.TemporaryDirectory(prefix="fxpasses-") as folder:
        files = {n: save(graph, Path(folder) / f"{n}{PART_ENDING}") for n, graph in detector.graphs.items()}
        graphs = {name: load(file) for name, file in files.items()}
        parts = {name: file.read_bytes() for name, file in files.items()}
    about["levels"] = _levels(detector, graphs[IMAGES])
    again = _made(json.loads(json.dumps(about)), graphs, type(detector))
    if not all(_finds_the_same(detector, again, size) for size in _TRIED):
        raise InputError(
            f"this {detector.kind.value} cannot be saved",
            why="read back it finds other boxes: steps around its layers have code or settings of their own",
            fix="write it for one size of images: detector.to_onnx(path, image_size)",
        )
    write_container(path, about, parts)
    return path


def load_detector(path: Path, detector: type[Detector]) -> Detector:
    """Read a file of :func:`save_detector`; it may come from a stranger: nothing in it is run or unpickled.

    Args:
        detector: the class to make.

    Raises:
        InputError: it is missing, damaged, or no saved detector.
    """
    with refusing(path, AGAIN), tempfile.TemporaryDirectory(prefix="fxpasses-") as folder:
        about, parts = read_container(path)
        graphs = {}
        for name, content in parts.items():
            file = Path(folder) / f"{name}{PART_ENDING}"
            file.write_bytes(content)
            graphs[name] = load(file)
        return _made(about, graphs, detector)


def _levels(detector: Detector, graph: fx.GraphModule) -> list[str] | None:
    """Names of tensors as large as the feature maps; None for Faster R-CNN, whose outputs have their sizes."""
    if detector.kind is Kind.FASTER_RCNN:
        return None
    any_size = len(free_sizes(graph).names) > 1
    shapes = tried_shapes(_example(graph)[1:], detector.steps.transform.size_divisible, any_size=any_size)
    return list(level_names(graph, detector.sizes_of, shapes))


def _made(about: Any, graphs: Mapping[str, fx.GraphModule], detector: type[Detector]) -> Detector:
    """The detector with these graphs."""
    if integer(field(about, "format", "detector"), "format") != FORMAT:
        raise RefusedError("it is of another version", AGAIN)
    kinds = {kind.value: kind for kind in Kind}
    kind = kinds.get(text(field(about, "kind", "detector"), "kind"))
    if kind is None:
        raise RefusedError("it is damaged: it names no kind of detector", AGAIN)
    _check_graphs(kind, graphs)
    steps = steps_of(field(about, "steps", "detector"), kind)
    levels = field(about, "levels", "detector")
    sizes = None if kind is Kind.FASTER_RCNN else _level_sizes(levels, graphs[IMAGES])
    return detector(steps, kind, graphs, sizes)


def _check_graphs(kind: Kind, graphs: Mapping[str, fx.GraphModule]) -> None:
    expected = {IMAGES, REGIONS} if kind is Kind.FASTER_RCNN else {IMAGES}
    if set(graphs) != expected or any(stage_of(graph) is not Stage.QUANTIZED for graph in graphs.values()):
        raise RefusedError(f"it is damaged: the graphs of a {kind.value} are {', '.join(sorted(expected))}, in int8")
    given = {str(output.keys[0]) for output in output_tensors(graphs[IMAGES]) if output.keys}
    if tuple(sorted(given)) != _OUTPUTS[kind] or len(_example(graphs[IMAGES])) != 4:
        raise RefusedError(f"it is damaged: its graph is not that of a {kind.value}")


def _level_sizes(levels: Any, graph: fx.GraphModule) -> LevelSizes:
    names = [text(name, "levels", 1000) for name in items(levels, "levels")]
    found = LevelSizes(graph, names[:_MOST_LEVELS])
    try:
        found(_example(graph)[1:])
    except KeyError as error:
        raise RefusedError("it is damaged: levels name a tensor that is not there") from error
    return found


def _example(graph: fx.GraphModule) -> tuple[int, ...]:
    return specs_in(examples_of(graph))[0][0]


@torch.no_grad()
def _finds_the_same(detector: Detector, again: Detector, size: tuple[int, int]) -> bool:
    """Whether both find the same in random outputs of the heads for noise of this size."""
    images = noise(size, len(detector.steps.transform.image_mean))
    given, twin = prepared(detector.steps, images), prepared(again.steps, images)
    if not torch.equal(given.batch.tensors, twin.batch.tensors):
        return False
    generator = torch.Generator().manual_seed(0)
    outputs = pytree.tree_map(
        lambda value: torch.randn(value.shape, generator=generator), detector.int8[IMAGES](given.batch.tensors)
    )
    return equal_detections(
        detector.detections(outputs, given, detector.int8), again.detections(outputs, twin, again.int8)
    )


def equal_detections(a: Detections, b: Detections) -> bool:
    """Whether two lists of detections are the same, bit for bit."""

    def equal(x: Tensor, y: Tensor) -> bool:
        return torch.equal(x, y)

    return all(equal(one[name], other[name]) for one, other in zip(a, b, strict=True) for name in one)
