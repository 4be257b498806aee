"""Metadata in our ONNX and ``.pt2`` files: keys ``fxpasses.*``, all values are text."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from .values import Name, Part, Sha256


class Metadata(Part):
    """The metadata of a file; every key may be missing, since the file may come from other software."""

    model_config = ConfigDict(strict=True, extra="allow", populate_by_name=True)

    stage: Annotated[Name, Field(alias="fxpasses.stage")] = ""
    version: Annotated[Name, Field(alias="fxpasses.version")] = ""
    torch: Annotated[Name, Field(alias="fxpasses.torch")] = ""
    precision: Annotated[Name, Field(alias="fxpasses.precision")] = ""
    target: Annotated[Name | None, Field(alias="fxpasses.target")] = None
    recipe: Annotated[str | None, Field(alias="fxpasses.recipe", max_length=1_000_000)] = None
    qparams_sha256: Annotated[Sha256 | None, Field(alias="fxpasses.qparams_sha256")] = None
