"""Turns the options of ``prune`` into settings: of the pruning, and of the quantization and measurement after it."""

from __future__ import annotations

from typing import Any

from fxpasses.pruning.channels.kernel_multiples import channel_multiple
from fxpasses.quantization.config import QuantConfig

from ..options.pruning import AUTO, PruneOptions
from ..options.source import MeasureOptions
from ..static.quantize_model import Settings
from .ratio_budget import amount_of
from .recipe import opset_in, read_recipe
from .steps import CHANNEL, Pruning


def pruning_of(options: PruneOptions, seed: int) -> Pruning:
    """Settings of the pruning and the recovery; a recipe sets all of them instead.

    Raises:
        InputError: options that contradict each other, or a recipe that cannot be read.
    """
    if options.recipe is not None:
        return read_recipe(options.recipe)
    return Pruning(
        **amount_of(options.ratio, options.budget, options.max_drop),
        criterion=options.criterion,
        granularity=options.granularity,
        layers=tuple(options.layers) if options.layers else None,
        scope=options.scope.value,
        **_multiples(options),
        keep_joined=options.keep_joined,
        through_layer_norm=options.through_layer_norm,
        compensate=options.compensate,
        schedule=options.schedule.value,
        epochs=options.fine_tune,
        learning_rate=options.lr,
        distill=options.distill,
        augment=options.augment,
        bf16=options.bf16,
        seed=seed,
    )


def _multiples(options: PruneOptions) -> dict[str, Any]:
    """``round_to`` and ``finer`` of :class:`Pruning`; masks do not change channel counts."""
    if options.round_to != AUTO:
        return {"round_to": int(options.round_to)}
    if options.granularity != CHANNEL:
        return {}
    return {"round_to": channel_multiple(options.target), "finer": True}


def settings_of(options: PruneOptions, measuring: MeasureOptions, seed: int) -> Settings:
    """Settings of the quantization and measurement of the pruned model; an opset that was asked for counts.

    Raises:
        InputError: there is a recipe, and it cannot be read.
    """
    opset = options.opset
    if opset is None and options.recipe is not None:
        opset = opset_in(options.recipe)
    return Settings(
        config=QuantConfig(target=options.target),
        calibration_images=options.calib,
        evaluation_images=measuring.evaluate,
        benchmark=measuring.bench,
        threads=measuring.threads,
        seed=seed,
        opset=opset,
    )
