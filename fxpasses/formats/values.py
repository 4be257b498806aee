"""Types of numbers and texts in the formats."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0, le=2**53)]
"""Count of images, bytes or parameters, up to the largest integer that is exact as a double."""
Positive = Annotated[int, Field(ge=1, le=2**31 - 1)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
Real = Annotated[float, Field(allow_inf_nan=False, ge=-1e15, le=1e15)]
Amount = Annotated[float, Field(allow_inf_nan=False, ge=0, le=1e15)]
Percent = Annotated[float, Field(allow_inf_nan=False, ge=0, le=100)]
Share = Annotated[float, Field(allow_inf_nan=False, ge=0, le=1)]
Name = Annotated[str, Field(max_length=1000)]
"""Text that is short enough for a table or a plot."""
Text = Annotated[str, Field(max_length=100_000)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Part(BaseModel):
    """A part of a document. Values are not converted to other types; unknown keys are allowed."""

    model_config = ConfigDict(strict=True, extra="allow")


class Closed(BaseModel):
    """A part of a document with these keys and no others."""

    model_config = ConfigDict(strict=True, extra="forbid")
