"""Quantization-aware training, from a FLOAT graph to the integers of its int8 graph. The public interface is below."""

from __future__ import annotations

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
