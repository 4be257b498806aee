"""Options of ``fxpasses prune``; some belong to ``fxpasses sensitivity --method prune``, too."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from . import shared
from .shared import MOST_EPOCHS, finite

AUTO = "auto"
LARGEST_MULTIPLE = 65_536
"""Largest multiple of channels that ``--round-to`` takes: more than layers have."""


def multiple(text: str) -> str:
    """``auto``, or a whole number from 1 to ``LARGEST_MULTIPLE``."""
    if text != AUTO and not (text.isdecimal() and 1 <= int(text) <= LARGEST_MULTIPLE):
        raise typer.BadParameter(f"{text!r} is neither auto nor a whole number from 1 to {LARGEST_MULTIPLE}")
    return text


class PruneScope(str, Enum):
    """Scope of the ratio: each layer, or all layers together."""

    layer = "layer"
    everywhere = "global"


class PruneSchedule(str, Enum):
    """Schedules of fxpasses.pruning.masks.schedules."""

    one_shot = "one-shot"
    iterative = "iterative"
    cubic = "cubic"


Ratio = Annotated[
    float | None,
    typer.Option(
        "--ratio", metavar="R", callback=finite, help="Share of the channels, or weights, to prune.", show_default=False
    ),
]
Budget = Annotated[
    str | None,
    typer.Option(
        "--budget",
        metavar="WHAT=SHARE",
        help="Share that may be left, instead of a ratio: macs=0.5, params=0.5, bytes=0.5 or latency=0.5 (measured).",
        show_default=False,
    ),
]
MaxDrop = Annotated[float | None, shared.max_drop("Find the largest ratio that {loses}, before fine-tuning.")]
Criterion = Annotated[
    str,
    typer.Option(
        "--criterion",
        metavar="NAME",
        help="Measure of importance: l1, l2, fpgm, surgeon, bn_scale, taylor, movement, activation or random.",
    ),
]
Granularity = Annotated[
    str,
    typer.Option(
        "--granularity",
        metavar="KIND",
        help="channel makes the model smaller and faster; weight, 2:4 or block:4x1 only put zeros into it.",
    ),
]
Layers = Annotated[
    list[str] | None,
    typer.Option(
        "--layers",
        metavar="PATTERN",
        help="Only these layers or operators: layer1.*, linear, ... May be repeated.",
        show_default=False,
    ),
]
Scope = Annotated[
    PruneScope, typer.Option("--scope", help="Whether the ratio holds in each layer, or over all of them.")
]
RoundTo = Annotated[
    str,
    typer.Option(
        "--round-to",
        metavar="N",
        callback=multiple,
        help="Channel counts become multiples of N; auto: N suits the target's kernels, 16 on CPUs.",
    ),
]
KeepJoined = Annotated[
    bool, typer.Option("--keep-joined", help="Leave residual streams alone: costs far less accuracy.")
]
ThroughLayerNorm = Annotated[
    bool, typer.Option("--through-layer-norm", help="Let LayerNorm normalise over the channels that are left.")
]
Compensate = Annotated[
    bool, typer.Option("--compensate/--no-compensate", help="Adjust the weights left to replace those removed.")
]
Schedule = Annotated[
    PruneSchedule,
    typer.Option("--schedule", help="Growth of the ratio of masks over the epochs of --fine-tune."),
]
Recipe = Annotated[
    Path | None,
    typer.Option(
        "--recipe",
        metavar="FILE",
        help="Prune as the recipe.json of another run says, instead of by the options above and below.",
        show_default=False,
    ),
]
FineTune = Annotated[
    int, typer.Option("--fine-tune", metavar="EPOCHS", max=MOST_EPOCHS, help="Train that long on the training split.")
]
LearningRate = Annotated[
    float, typer.Option("--lr", callback=finite, help="Learning rate of the fine-tuning at its start.")
]
Distill = Annotated[bool, typer.Option("--distill", help="Train on the dense model's outputs, too.")]


@dataclass(frozen=True, kw_only=True)
class PruneOptions:
    """Options of ``fxpasses prune``, as the command line spells them."""

    ratio: Ratio = None
    budget: Budget = None
    max_drop: MaxDrop = None
    criterion: Criterion = "l1"
    granularity: Granularity = "channel"
    layers: Layers = None
    scope: Scope = PruneScope.layer
    round_to: RoundTo = AUTO
    keep_joined: KeepJoined = False
    through_layer_norm: ThroughLayerNorm = False
    compensate: Compensate = True
    schedule: Schedule = PruneSchedule.one_shot
    recipe: Recipe = None
    fine_tune: FineTune = 0
    lr: LearningRate = 0.01
    distill: Distill = False
    augment: shared.Augment = False
    bf16: shared.TrainInBfloat16 = False
    quantize: Annotated[bool, typer.Option("--quantize", help="Quantize the result to int8.")] = False
    target: shared.Target = "auto"
    opset: shared.Opset = None
    calib: shared.CalibrationImages = None
