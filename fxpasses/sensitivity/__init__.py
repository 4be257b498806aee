"""Measures the cost of int8 or pruning at each layer, and searches for the cheapest model that keeps accuracy.

Sits between ``fxpasses.export``, whose runners and files it measures, and the command line. The names below are its
public interface::

    calibrated = calibrate_once(fx.fuse(fx.capture(model, x)), fx.QuantConfig(), batches)
    found = quant_sensitivity(calibrated, lambda: labelled_batches)
    for layer in found.ranked[:5]:
        print(layer.unit.label, layer.noise_percent, layer.alone.sqnr_db)
    mixed = calibrated.convert(*(layer.unit for layer in found.ranked[:3]))  # those three stay float
"""

from __future__ import annotations

from .calibrated import Calibrated as Calibrated
from .calibrated import calibrate_once as calibrate_once
from .prune import PruneChoice as PruneChoice
from .prune import prune_targets as prune_targets
from .prune import score_pruned as score_pruned
from .quant import QuantSensitivity as QuantSensitivity
from .quant import quant_sensitivity as quant_sensitivity
from .scoring import Score as Score
from .scoring import Scorer as Scorer
from .search.accuracy_search import Goal as Goal
from .search.accuracy_search import Search as Search
from .search.ratio_search import RatioSearch as RatioSearch
from .search.ratio_search import largest_ratio as largest_ratio
from .search.ratio_search import largest_ratios as largest_ratios
from .search.recipe_file import Recipe as Recipe
from .search.recipe_file import read_recipe as read_recipe
from .search.recipe_file import write_recipe as write_recipe
from .units import Unit as Unit
from .units import find_units as find_units
