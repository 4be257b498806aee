"""Format of ``labels.json`` for ``images=DIR``: the folders of the classes, in the order of the model's logits."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, RootModel

from .values import Part

Folder = Annotated[str, Field(min_length=1, max_length=255)]
Entry = Folder | Annotated[list[Folder], Field(min_length=1)]
"""A folder, or a folder followed by names for display."""
Entries = Annotated[list[Entry], Field(min_length=1)]


class NamedClasses(Part):
    """Object with the key ``classes``: ``{"classes": [["n01440764", "tench"], ...]}``."""

    classes: Entries


class Labels(RootModel[NamedClasses | Entries]):
    """Content of ``labels.json``: an object with ``classes``, or only the list."""

    model_config = ConfigDict(strict=True)
