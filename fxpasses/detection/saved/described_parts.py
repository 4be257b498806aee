"""Parts of a detector's float steps as plain values, and torchvision's own classes with such settings."""

from __future__ import annotations

from typing import Any

from torch import nn

from fxpasses.errors import InputError
from fxpasses.export.pt2_records.records import RefusedError, field, integer, items, number, text, truth

from ..kinds import Kind

MOST_VALUES, LARGEST_SIZE = 256, 65_536
"""Most values in a list, and the largest number of pixels on a side, that a file may name."""


def described_transform(transform: Any) -> dict[str, Any]:
    """The sizes and the normalisation of images."""
    from torchvision.models.detection.transform import GeneralizedRCNNTransform

    _require(transform, GeneralizedRCNNTransform)
    fixed = transform.fixed_size
    return {
        "min_size": list(transform.min_size),
        "max_size": transform.max_size,
        "mean": list(transform.image_mean),
        "std": list(transform.image_std),
        "size_divisible": transform.size_divisible,
        "fixed_size": None if fixed is None else list(fixed),
    }


def transform_of(given: Any) -> nn.Module:
    """The transform with these settings."""
    from torchvision.models.detection.transform import GeneralizedRCNNTransform

    mean, std = (reals(field(given, name, "transform"), name) for name in ("mean", "std"))
    if len(mean) != len(std) or not mean or 0 in std:
        raise RefusedError("it is damaged: mean and std do not fit each other")
    fixed = field(given, "fixed_size", "transform")
    made: nn.Module = GeneralizedRCNNTransform(
        tuple(_sizes(field(given, "min_size", "transform"), "min_size")),
        _size(field(given, "max_size", "transform"), "max_size"),
        mean,
        std,
        _size(field(given, "size_divisible", "transform"), "size_divisible"),
        None if fixed is None else _pair(fixed, "fixed_size"),
    )
    return made


def described_anchors(anchors: Any) -> dict[str, Any]:
    """The sizes and ratios of anchors."""
    from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator

    _require(anchors, AnchorGenerator, DefaultBoxGenerator)
    ratios = [list(each) for each in anchors.aspect_ratios]
    if isinstance(anchors, AnchorGenerator):
        return {"sizes": [list(each) for each in anchors.sizes], "aspect_ratios": ratios}
    steps = None if anchors.steps is None else list(anchors.steps)
    return {"scales": list(anchors.scales), "aspect_ratios": ratios, "steps": steps, "clip": anchors.clip}


def anchors_of(given: Any, kind: Kind) -> nn.Module:
    """Anchors with these settings: default boxes for SSD."""
    from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator

    ratios = _lists(field(given, "aspect_ratios", "anchors"), "aspect_ratios")
    if kind is not Kind.SSD:
        sizes = _lists(field(given, "sizes", "anchors"), "sizes")
        if len(sizes) != len(ratios):
            raise RefusedError("it is damaged: there are not as many sizes as ratios of anchors")
        anchors: nn.Module = AnchorGenerator(tuple(map(tuple, sizes)), tuple(map(tuple, ratios)))
        return anchors
    scales, steps = reals(field(given, "scales", "anchors"), "scales"), field(given, "steps", "anchors")
    if len(scales) != len(ratios) + 1 or not all(value > 0 for each in ratios for value in each):
        raise RefusedError("it is damaged: scales and ratios of anchors do not fit each other")
    strides: Any = None if steps is None else reals(steps, "steps")
    clip = truth(field(given, "clip", "anchors"), "clip")
    boxes: nn.Module = DefaultBoxGenerator(ratios, scales=scales, steps=strides, clip=clip)
    return boxes


def described_coder(coder: Any) -> dict[str, Any]:
    """The weights of the coding of boxes."""
    from torchvision.models.detection._utils import BoxCoder, BoxLinearCoder

    _require(coder, BoxCoder, BoxLinearCoder)
    if isinstance(coder, BoxLinearCoder):
        return {"normalize_by_size": coder.normalize_by_size}
    return {"weights": list(coder.weights), "bbox_xform_clip": coder.bbox_xform_clip}


def coder_of(given: Any, kind: Kind) -> Any:
    """The coding of boxes with these settings: the linear one for FCOS."""
    from torchvision.models.detection._utils import BoxCoder, BoxLinearCoder

    if kind is Kind.FCOS:
        return BoxLinearCoder(truth(field(given, "normalize_by_size", "coder"), "normalize_by_size"))
    weights: Any = tuple(reals(field(given, "weights", "coder"), "weights"))
    if len(weights) != 4 or 0 in weights:
        raise RefusedError("it is damaged: the coding of boxes has other than four weights")
    return BoxCoder(weights, real(field(given, "bbox_xform_clip", "coder"), "bbox_xform_clip"))


def described_pool(pool: Any) -> dict[str, Any]:
    """The settings of RoIAlign."""
    from torchvision.ops import MultiScaleRoIAlign

    _require(pool, MultiScaleRoIAlign)
    return {
        "featmap_names": list(pool.featmap_names),
        "output_size": list(pool.output_size),
        "sampling_ratio": pool.sampling_ratio,
        "canonical_scale": pool.canonical_scale,
        "canonical_level": pool.canonical_level,
    }


def pool_of(given: Any) -> nn.Module:
    """RoIAlign with these settings."""
    from torchvision.ops import MultiScaleRoIAlign

    names = [text(name, "featmap_names", 200) for name in items(field(given, "featmap_names", "pool"), "featmap_names")]
    pool: nn.Module = MultiScaleRoIAlign(
        names,
        _pair(field(given, "output_size", "pool"), "output_size"),
        integer(field(given, "sampling_ratio", "pool"), "sampling_ratio", -1, 64),
        canonical_scale=_size(field(given, "canonical_scale", "pool"), "canonical_scale"),
        canonical_level=integer(field(given, "canonical_level", "pool"), "canonical_level", 0, 64),
    )
    return pool


def _require(part: object, *classes: type[Any]) -> None:
    if type(part) not in classes:
        named = " or ".join(each.__name__ for each in classes)
        raise InputError(
            f"a detector with a {type(part).__name__} of its own cannot be saved",
            why=f"a file holds settings and no code: those of torchvision's {named}",
            fix="write it for one size of images: detector.to_onnx(path, image_size)",
        )


def real(value: object, where: str) -> float:
    """A number; one without a fraction stays an integer."""
    return value if type(value) is int else number(value, where)


def reals(value: object, where: str) -> list[float]:
    found = items(value, where)
    if len(found) > MOST_VALUES:
        raise RefusedError(f"it is damaged: {where} has more than {MOST_VALUES} values")
    return [real(each, where) for each in found]


def _lists(value: object, where: str) -> list[list[float]]:
    found = items(value, where)
    if not 0 < len(found) <= MOST_VALUES:
        raise RefusedError(f"it is damaged: {where} has no entry, or more than {MOST_VALUES}")
    return [reals(each, where) for each in found]


def _size(value: object, where: str) -> int:
    return integer(value, where, 1, LARGEST_SIZE)


def _sizes(value: object, where: str) -> list[int]:
    found = items(value, where)
    if not 0 < len(found) <= MOST_VALUES:
        raise RefusedError(f"it is damaged: {where} has no entry, or more than {MOST_VALUES}")
    return [_size(each, where) for each in found]


def _pair(value: object, where: str) -> tuple[int, int]:
    found = _sizes(value, where)
    if len(found) != 2:
        raise RefusedError(f"it is damaged: {where} is no height and width")
    return found[0], found[1]
