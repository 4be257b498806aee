"""Quantization-aware training, from a FLOAT graph to the integers that training saw. Its public interface is below."""

from __future__ import annotations

from .broken_ranges import Broken as Broken
from .broken_ranges import find_broken as find_broken
from .config import TrainingConfig as TrainingConfig
from .freeze import freeze_training as freeze_training
from .losses import dampening_loss as dampening_loss
from .merged_ranges import merge_ranges as merge_ranges
from .norm_statistics import hold_statistics as hold_statistics
from .norm_statistics import reestimate_statistics as reestimate_statistics
from .optimizers import frozen_parameter_groups as frozen_parameter_groups
from .optimizers import parameter_groups as parameter_groups
from .prepare import prepare_training as prepare_training
from .run_settings import RunSettings as RunSettings
from .trained_integers import convert_trained as convert_trained
from .training_run import CurvePoint as CurvePoint
from .training_run import TrainingProgress as TrainingProgress
from .training_run import TrainingRun as TrainingRun
from .whole_run import train_quantized as train_quantized
