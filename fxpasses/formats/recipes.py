"""Formats of recipes: ``recipe.toml`` of a search or of a quantization, ``recipe.json`` of a pruning."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

from pydantic import Field, create_model

from fxpasses.quantization.repair_table import RepairSettings

from .values import Closed, Name, Part, Positive, Seed, Share

Bits = Annotated[int, Field(ge=2, le=8)]


class Override(Closed):
    """Settings of the nodes that the pattern ``match`` matches."""

    match: Annotated[str, Field(min_length=1, max_length=1000)]
    keep_float: bool = False
    observer: Name | None = None
    weight_bits: Bits | None = None


class _Quantize(Closed):
    """The fields of :class:`fxpasses.QuantConfig`."""

    target: Name = "x86"
    observer: Name = "histogram"
    weight_search: Literal["minmax", "mse"] = "minmax"
    weight_bits: Bits = 8
    group_size: Positive | None = None
    activation_bits: Literal[8, 16] = 8
    exact: bool = False
    tie_free: bool = True
    overrides: list[Override] = Field(default_factory=list)


_NARROWER: dict[str, Any] = {
    "smoothing": Share | Literal["auto"] | None,
    "rounding": Literal["nearest", "learned"],
}
"""Types of repairs' settings that say more than those of the settings themselves."""

if TYPE_CHECKING:
    Quantize = _Quantize
else:
    Quantize = create_model(
        "Quantize",
        __base__=_Quantize,
        __doc__=_Quantize.__doc__,
        **{
            one.name: (_NARROWER.get(one.name, get_type_hints(RepairSettings)[one.name]), one.default)
            for one in fields(RepairSettings)
        },
    )


class Calibration(Closed):
    """Calibration images: their number, and the seed of their shuffling."""

    images: Positive | None = None
    seed: Seed | None = None


class Files(Closed):
    """Settings of the files that a quantization writes."""

    dynamic_size: bool = False
    form: Literal["qdq", "qoperator"] = "qdq"
    opset: Annotated[int, Field(ge=13, le=23)] | None = None


class QuantRecipe(Closed):
    """Content of ``recipe.toml``: everything that a quantization depends on besides model and data."""

    format: Literal[1] = 1
    quantize: Quantize = Quantize()
    calibration: Calibration = Calibration()
    files: Files = Files()
    result: dict[Name, Any] = Field(default_factory=dict)


class Budget(Closed):
    """Size of the pruned model as a share of the dense one, in a resource."""

    resource: Literal["macs", "params", "bytes", "latency"]
    share: Annotated[float, Field(gt=0, lt=1)]


class Prune(Closed):
    """The settings of ``fxpasses prune``."""

    ratio: Annotated[float, Field(ge=0, lt=1)] | None = None
    budget: Budget | None = None
    criterion: Name = "l1"
    granularity: Name = "channel"
    layers: list[Name] | None = None
    scope: Literal["layer", "global"] = "layer"
    round_to: Annotated[int, Field(ge=1, le=65_536)] = 1
    finer: bool = False
    keep_joined: bool = False
    through_layer_norm: bool = False
    compensate: bool = True
    schedule: Literal["one-shot", "iterative", "cubic"] = "one-shot"
    epochs: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    learning_rate: Annotated[float, Field(gt=0, le=1e6)] = 0.01
    distill: bool = False
    augment: bool = False
    bf16: bool = False
    keep_statistics: bool = False
    seed: Seed = 0


class PruneFiles(Closed):
    """Settings of the files that a pruning writes."""

    opset: Annotated[int, Field(ge=13, le=23)] | None = None


class PruneRecipe(Part):
    """Content of ``recipe.json``: the settings with which a model was pruned."""

    prune: Prune
    files: PruneFiles = PruneFiles()
