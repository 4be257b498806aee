"""The detectors of torchvision that are known here, and copies of modules with other modules in them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from enum import Enum
from typing import Any

from torch import nn

from fxpasses.capturing.checks import require_eval
from fxpasses.errors import InputError

Model = Any
"""A detector of torchvision; its classes are imported at first use only."""


class Kind(Enum):
    """The class of a detector in torchvision."""

    SSD = "SSD"
    RETINANET = "RetinaNet"
    FCOS = "FCOS"
    FASTER_RCNN = "FasterRCNN"


def kind_of(model: Model) -> Kind:
    """The kind of a detector in eval mode.

    Raises:
        GraphError: it is in training mode.
        InputError: it is no detector of these kinds, has a ``forward`` of its own, or finds more than boxes.
    """
    known = known_kind(model)
    if known is None or type(model).forward is not _classes()[known].forward:
        named = ", ".join(kind.value for kind in Kind)
        own = "" if known is None else f", or has a forward of its own beside that of {known.value}"
        raise InputError(
            f"a whole detector of class {type(model).__name__}",
            why=f"it is none of torchvision's {named}{own}: where its layers end and its boxes begin is not known",
            fix="quantize the part that holds the layers, fx.quantize(model.backbone, images, batches)",
        )
    if known is Kind.FASTER_RCNN and (model.roi_heads.has_mask() or model.roi_heads.has_keypoint()):
        raise InputError(
            f"a whole detector of class {type(model).__name__}",
            why="it finds masks or keypoints; only boxes are served",
            fix="for its boxes alone, set model.roi_heads.mask_roi_pool = model.roi_heads.keypoint_roi_pool = None",
        )
    require_eval(model)
    return known


def known_kind(model: object) -> Kind | None:
    """The kind whose class, or a subclass of it, a model is of; None for any other model."""
    return next((kind for kind, base in _classes().items() if isinstance(model, base)), None)


def _classes() -> dict[Kind, type[Any]]:
    from torchvision.models.detection.faster_rcnn import FasterRCNN
    from torchvision.models.detection.fcos import FCOS
    from torchvision.models.detection.retinanet import RetinaNet
    from torchvision.models.detection.ssd import SSD

    return {Kind.SSD: SSD, Kind.RETINANET: RetinaNet, Kind.FCOS: FCOS, Kind.FASTER_RCNN: FasterRCNN}


def layers_of(model: Model, kind: Kind) -> tuple[nn.Module, ...]:
    """The modules of a detector that become int8."""
    if kind is not Kind.FASTER_RCNN:
        return model.backbone, model.head
    return model.backbone, model.rpn.head, model.roi_heads.box_head, model.roi_heads.box_predictor


def without_layers(model: Model, kind: Kind) -> Model:
    """A copy of a detector with all its float steps, and without the layers that become int8."""
    return _copied(model, {layers: nn.Identity() for layers in layers_of(model, kind)})


def without_values(module: nn.Module) -> nn.Module:
    """A copy of a module on the meta device: it computes sizes and has no memory for weights."""
    tensors = {p: nn.Parameter(p.to("meta"), requires_grad=False) for p in module.parameters()}
    made: nn.Module = _copied(module, tensors | {b: b.to("meta") for b in module.buffers()})
    return made


def with_plain_norms(module: nn.Module) -> nn.Module:
    """A copy with BatchNorm in the place of torchvision's frozen one, so that it is folded; tensors are shared.

    Equal up to float rounding.
    """
    from torchvision.ops import FrozenBatchNorm2d

    shared: dict[Any, Any] = {tensor: tensor for tensor in (*module.parameters(), *module.buffers())}
    frozen = {m: _plain_norm(m) for m in module.modules() if isinstance(m, FrozenBatchNorm2d)}
    made: nn.Module = _copied(module, shared | frozen)
    return made


def _plain_norm(frozen: Any) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(len(frozen.weight), frozen.eps).eval()
    norm.weight, norm.bias = nn.Parameter(frozen.weight), nn.Parameter(frozen.bias)
    norm.running_mean, norm.running_var = frozen.running_mean, frozen.running_var
    return norm


def _copied(module: Any, others: Mapping[Any, Any]) -> Any:
    """A deep copy of a module with other objects in the place of some."""
    return copy.deepcopy(module, {id(old): new for old, new in others.items()})
