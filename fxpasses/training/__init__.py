"""Quantization-aware training, from a FLOAT graph to the integers of its int8 graph. The public interface is below.

Each name is loaded at its first use (PEP 562): a caller of one part does not load the others.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .config import TrainingConfig as TrainingConfig
    from .fake.broken_ranges import Broken as Broken
    from .fake.broken_ranges import find_broken as find_broken
    from .fake.prepare import prepare_training as prepare_training
    from .frozen.freeze import freeze_training as freeze_training
    from .frozen.norm_statistics import hold_statistics as hold_statistics
    from .frozen.norm_statistics import reestimate_statistics as reestimate_statistics
    from .frozen.trained_integers import convert_trained as convert_trained
    from .runs.losses import dampening_loss as dampening_loss
    from .runs.merged_ranges import merge_ranges as merge_ranges
    from .runs.optimizers import frozen_parameter_groups as frozen_parameter_groups
    from .runs.optimizers import parameter_groups as parameter_groups
    from .runs.run_settings import RunSettings as RunSettings
    from .runs.training_run import CurvePoint as CurvePoint
    from .runs.training_run import TrainingProgress as TrainingProgress
    from .runs.training_run import TrainingRun as TrainingRun
    from .runs.whole_run import train_quantized as train_quantized

_HOMES = {
    "Broken": "fake.broken_ranges",
    "CurvePoint": "runs.training_run",
    "RunSettings": "runs.run_settings",
    "TrainingConfig": "config",
    "TrainingProgress": "runs.training_run",
    "TrainingRun": "runs.training_run",
    "convert_trained": "frozen.trained_integers",
    "dampening_loss": "runs.losses",
    "find_broken": "fake.broken_ranges",
    "freeze_training": "frozen.freeze",
    "frozen_parameter_groups": "runs.optimizers",
    "hold_statistics": "frozen.norm_statistics",
    "merge_ranges": "runs.merged_ranges",
    "parameter_groups": "runs.optimizers",
    "prepare_training": "fake.prepare",
    "reestimate_statistics": "frozen.norm_statistics",
    "train_quantized": "runs.whole_run",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
