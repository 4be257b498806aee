"""JSON Schema files of the formats, generated from the models by ``python -m fxpasses.formats.schema_files``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

FOLDER = Path(__file__).parent
ENDING = ".schema.json"


def models() -> dict[str, type[BaseModel]]:
    """The model of each format, by the name of its schema file."""
    from .bench_files import BenchMatrix, DeviceBench
    from .bundle import Bundle
    from .journal import About, LargestRatio, Latency, LayerCost, Measurement, Score
    from .labels import Labels
    from .metadata import Metadata
    from .recipes import PruneRecipe, QuantRecipe
    from .report import Report

    found: dict[str, type[BaseModel]] = {
        "report": Report,
        "bundle": Bundle,
        "recipe": QuantRecipe,
        "prune-recipe": PruneRecipe,
        "labels": Labels,
        "metadata": Metadata,
        "journal-about": About,
        "journal-measurement": Measurement,
    }
    found |= {"journal-score": Score, "journal-layer": LayerCost}
    found |= {"bench-matrix": BenchMatrix, "device-bench": DeviceBench}
    found |= {"journal-latency": Latency, "journal-largest": LargestRatio}
    return found


def schema_text(model: type[BaseModel]) -> str:
    """The schema of a model, as text for its file."""
    schema: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def schema_path(name: str) -> Path:
    """Path of the schema file of a format."""
    return FOLDER / f"{name}{ENDING}"


def write_schemas() -> None:
    """Write all schema files."""
    for name, model in models().items():
        schema_path(name).write_text(schema_text(model), encoding="utf-8")


if __name__ == "__main__":
    write_schemas()
