"""Write a quantized detector as one ONNX file for images of one size.

The file takes ``images [B, C, H, W]`` with values from 0 to 1 and gives, of each, ``boxes [B, N, 4]`` in its pixels,
``scores [B, N]``, ``labels [B, N]`` and ``count [B]``, the number of detections; rows behind them are 0, and -1 as
label. Float steps stand around the int8 layers, whose integers are those of the graphs. The steps are exported from
modules with results of fixed sizes (:mod:`.candidates`), and all are joined by the names of tensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fxpasses.errors import InputError
from fxpasses.export.exact_sums import METADATA_SESSION_OPTIONS
from fxpasses.export.files import atomic_write
from fxpasses.export.metadata import PREFIX
from fxpasses.export.onnx_reader import opset_of

from ..float_steps import proposals_of, regions_of
from ..images import noise, prepared
from ..kinds import Kind
from ..parts import IMAGES, REGIONS
from .front import Front
from .one_size import of_one_size
from .one_stage import one_stage_end
from .onnx_detector import OUTPUTS
from .pieces import Piece, float_model, int8_models, joined
from .two_stage import Between, TwoStageEnd

if TYPE_CHECKING:
    import onnx

    from ..detector import Detector

FRONT, BETWEEN, END = "front", "between", "end"

METADATA_DETECTOR = f"{PREFIX}detector"
"""Metadata key of the file: JSON with the detector's kind, and height and width of images."""


def write_detector(detector: Detector, path: Path, image_size: tuple[int, int], *, verify: bool = True) -> Path:
    """Write the file; see :meth:`fxpasses.detection.Detector.to_onnx`."""
    from .verifying import verify_detector

    _check_size(image_size)
    front = Front(detector.steps, image_size).eval()
    model = joined(_pieces(detector, front), END)
    _note(model, detector, image_size)
    with atomic_write(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
        if verify:
            verify_detector(detector, temporary, image_size)
    return path


def _check_size(size: Any) -> None:
    if not isinstance(size, tuple) or len(size) != 2 or not all(type(each) is int and each > 0 for each in size):
        raise InputError(
            f"image_size={size!r}", why="it is height and width in pixels", fix="image_size=(480, 640), for example"
        )


@torch.no_grad()
def _pieces(detector: Detector, front: Front) -> list[Piece]:
    images = noise(front.given, len(front.mean))
    graphs = detector.graphs | {IMAGES: of_one_size(detector.graphs[IMAGES], front.padded)}
    models = int8_models(graphs)
    opset = opset_of(models[IMAGES])
    (given,) = (value.name for value in models[IMAGES].graph.input)
    first = Piece(FRONT, float_model(front, (images,), ["images"], ["prepared"], opset), {})
    layers = Piece(IMAGES, models[IMAGES], {given: f"{FRONT}/prepared"})
    outputs = detector.int8[IMAGES](front(images))
    if detector.kind is Kind.FASTER_RCNN:
        return [first, layers, *_two_stage(detector, front, models, outputs, images)]
    end = one_stage_end(detector.kind, detector.steps, front, detector.grid_sizes(front(images)))
    chosen = {name: outputs[name] for name in end.reads}
    last = float_model(end, (list(chosen.values()),), list(chosen), OUTPUTS, opset)
    return [first, layers, Piece(END, last, {name: f"{IMAGES}/{name}" for name in chosen})]


def _two_stage(
    detector: Detector, front: Front, models: Mapping[str, onnx.ModelProto], outputs: Mapping[str, Any], images: Tensor
) -> list[Piece]:
    """The pieces of Faster R-CNN behind the first int8 part."""
    given = prepared(detector.steps, images)
    proposals = proposals_of(detector.steps, outputs["scores"], outputs["deltas"], given)
    regions_of(detector.steps, outputs["features"], proposals, given)  # sets the scales of levels, if it is the first
    opset = opset_of(models[IMAGES])
    args = (list(outputs["features"].values()), list(outputs["scores"]), list(outputs["deltas"]))
    names = [f"features.{name}" for name in outputs["features"]]
    names += [f"{each}.{level}" for each in ("scores", "deltas") for level in range(len(outputs["scores"]))]
    between: nn.Module = Between(detector.steps, front, outputs["scores"]).eval()
    made = between(*args)
    second = detector.int8[REGIONS](made["regions"])
    (regions,) = (value.name for value in models[REGIONS].graph.input)
    ends = (second["logits"], second["deltas"], made["proposals"], made["chances"])
    end_names = ["logits", "deltas", "proposals", "chances"]
    sources = {name: f"{REGIONS if name in second else BETWEEN}/{name}" for name in end_names}
    return [
        Piece(
            BETWEEN, float_model(between, args, names, list(made), opset), {name: f"{IMAGES}/{name}" for name in names}
        ),
        Piece(REGIONS, models[REGIONS], {regions: f"{BETWEEN}/regions"}),
        Piece(END, float_model(TwoStageEnd(detector.steps, front), ends, end_names, OUTPUTS, opset), sources),
    ]


def _note(model: onnx.ModelProto, detector: Detector, image_size: tuple[int, int]) -> None:
    """Write the metadata: those of the int8 parts, the session options that any of them needs, kind and size."""
    from fxpasses.export.metadata import metadata_of, session_options_of

    graphs = list(detector.graphs.values())
    found = metadata_of(graphs[0])
    if len(graphs) > 1:
        found.pop(f"{PREFIX}qparams_sha256", None)  # it is of one graph
    options = {key: value for graph in graphs for key, value in session_options_of(graph).items()}
    found[METADATA_SESSION_OPTIONS] = json.dumps(options)
    found[METADATA_DETECTOR] = json.dumps({"kind": detector.kind.value, "image_size": list(image_size)})
    for key, value in found.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
