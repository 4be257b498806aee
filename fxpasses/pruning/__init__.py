"""Pruning: masks over weights, and graphs that are physically smaller. The names below are its public interface."""

from __future__ import annotations

from .brain_surgeon import surgeon_scores as surgeon_scores
from .budget import Budget as Budget
from .budget import choose_within as choose_within
from .channel_plan import Removal as Removal
from .channel_plan import choose_channels as choose_channels
from .compensation import compensate as compensate
from .cost import Cost as Cost
from .cost import cost_of as cost_of
from .criteria import CRITERIA as CRITERIA
from .data_criteria import ScoringData as ScoringData
from .dependencies import Dependencies as Dependencies
from .dependencies import find_dependencies as find_dependencies
from .kernel_multiples import channel_multiple as channel_multiple
from .layers import layers_matching as layers_matching
from .layers import prunable_layers as prunable_layers
from .mask_removal import removal_of_masks as removal_of_masks
from .masks import Masks as Masks
from .masks import apply_masks as apply_masks
from .masks import keep_masks as keep_masks
from .masks import make_permanent as make_permanent
from .masks import masks_of as masks_of
from .masks import reapply_masks as reapply_masks
from .masks import replace_masks as replace_masks
from .masks import zeros_as_masks as zeros_as_masks
from .schedules import schedule_ratios as schedule_ratios
from .scoring import channel_scores as channel_scores
from .selection import magnitude_masks as magnitude_masks
from .selection import make_masks as make_masks
from .shrinking import mask_channels as mask_channels
from .shrinking import shrink as shrink
from .torch_masks import masks_of_torch_prune as masks_of_torch_prune
from .torch_masks import without_torch_prune as without_torch_prune
