"""Turns the options of ``quantize --method static`` into settings, training settings, and a recipe or a search."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fxpasses.quantization.config import LARGEST_BITS
from fxpasses.training.config import TrainingConfig
from fxpasses.training.runs.run_settings import RunSettings

from ..folders.artifacts import journal_beside
from ..options.methods import said_in_recipe
from ..options.quantize import QuantizeOptions
from ..options.source import MeasureOptions
from ..options.static import config_of
from .qat import Qat
from .quantize_model import Settings
from .recipe_option import SettingsOrigin


def settings_of(options: QuantizeOptions, measuring: MeasureOptions, seed: int) -> Settings:
    """Settings of the quantization and the measurement.

    Raises:
        InputError: an option has a value that no setting allows.
    """
    asked = qat_of(options, seed)
    if asked is not None:  # the bits are settings of the training
        options = replace(options, bits=LARGEST_BITS, activation_bits=LARGEST_BITS)
    return Settings(
        config=config_of(options),
        calibration_images=options.calib,
        evaluation_images=measuring.evaluate,
        form=options.form.value,
        opset=options.opset,
        optimizer=options.optimizer.value,
        benchmark=measuring.bench,
        threads=measuring.threads,
        seed=seed,
        placement=options.placement,
        dynamic_size=options.dynamic_size,
        qat=asked,
        device=options.device,
    )


def qat_of(options: QuantizeOptions, seed: int) -> Qat | None:
    """Settings of the training; None without ``--qat``.

    Raises:
        InputError: bits outside 2 to 8.
    """
    if options.qat is None:
        return None
    rate = {} if options.lr is None else {"lr": options.lr}
    run = RunSettings(epochs=options.qat, seed=seed, **rate)
    TrainingConfig(weight_bits=options.bits, activation_bits=options.activation_bits)  # refuses bits, before data
    return Qat(run, options.bits, options.activation_bits, options.augment, options.checkpoint)


def origin_of(options: QuantizeOptions, out: Path) -> SettingsOrigin:
    """The recipe or search that settings come from, beside the options.

    Raises:
        InputError: options that the recipe sets, too.
    """
    said = said_in_recipe(options)
    return SettingsOrigin(options.recipe, options.max_drop, options.workers, options.backend, journal_beside(out), said)
