"""Pruning: masks over weights, and graphs with fewer channels. The names below are its public interface."""

from __future__ import annotations

from .channels.brain_surgeon import surgeon_scores as surgeon_scores
from .channels.budget import Budget as Budget
from .channels.budget import choose_within as choose_within
from .channels.channel_plan import Removal as Removal
from .channels.channel_plan import choose_channels as choose_channels
from .channels.compensation import compensate as compensate
from .channels.cost import Cost as Cost
from .channels.cost import cost_of as cost_of
from .channels.kernel_multiples import channel_multiple as channel_multiple
from .channels.mask_removal import removal_of_masks as removal_of_masks
from .channels.scoring import channel_scores as channel_scores
from .channels.shrinking import mask_channels as mask_channels
from .channels.shrinking import shrink as shrink
from .dependencies.groups import Dependencies as Dependencies
from .dependencies.groups import find_dependencies as find_dependencies
from .masks.criteria import CRITERIA as CRITERIA
from .masks.data_criteria import ScoringData as ScoringData
from .masks.layers import layers_matching as layers_matching
from .masks.layers import prunable_layers as prunable_layers
from .masks.masks import Masks as Masks
from .masks.masks import apply_masks as apply_masks
from .masks.masks import keep_masks as keep_masks
from .masks.masks import make_permanent as make_permanent
from .masks.masks import masks_of as masks_of
from .masks.masks import reapply_masks as reapply_masks
from .masks.masks import replace_masks as replace_masks
from .masks.masks import zeros_as_masks as zeros_as_masks
from .masks.schedules import schedule_ratios as schedule_ratios
from .masks.selection import magnitude_masks as magnitude_masks
from .masks.selection import make_masks as make_masks
from .masks.torch_masks import masks_of_torch_prune as masks_of_torch_prune
from .masks.torch_masks import without_torch_prune as without_torch_prune
