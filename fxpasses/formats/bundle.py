"""``bundle.json``: description of a bundle, the inputs of its model, and the hash of every other file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .values import Count, Name, Part, Positive, Real, Sha256, Text

_Channels = Annotated[int, Field(ge=1, le=4)]


class BundledFile(Part):
    """One file of the bundle."""

    sha256: Sha256
    bytes: Count


class BundledImage(Part):
    """Images as the model takes them: ``(pixel / 255 - mean) / std``."""

    height: Positive
    width: Positive
    channels: _Channels
    mean: list[Real]
    std: list[Annotated[float, Field(gt=0, le=1e9)]]
    resize_ratio: Annotated[float, Field(gt=0, le=100)]
    any_size: bool


class BundledTensor(Part):
    """An input or output of ``model.int8.onnx``; free sizes are names or null."""

    name: Name
    dtype: Name
    shape: list[Name | Count | None]


class Bundle(Part):
    """The content of ``bundle.json``."""

    bundle_version: Positive
    model: Name
    data: Name | None
    target: Name
    made_for: Name
    created: Name | None
    license: Text | None
    qparams_sha256: Sha256
    versions: dict[Name, Name | None]
    session_options: dict[Name, Name]
    inputs: list[BundledTensor]
    outputs: list[BundledTensor]
    classes: Positive | None
    image: BundledImage | None
    why_no_image: Text | None
    files: dict[Name, BundledFile]
