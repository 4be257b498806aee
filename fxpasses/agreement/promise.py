"""The promises for the two int8 artifacts of one graph, and a check of a parity report against them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ALL_IMAGES = 100.0
LARGEST_STEP = 1
"""Largest difference in LSBs between a node and exact arithmetic on equal inputs, unless the recipe is exact."""


def why_broken(parity: Mapping[str, Any], *, exact: bool) -> list[str]:
    """A sentence for each promise that ``parity`` (of report.json) breaks; empty if all hold.

    Always promised: the same top-1 class on every image, and no node further than ``LARGEST_STEP`` from exact
    arithmetic. Promised with an exact recipe: all integers are equal.
    """
    broken = []
    agreement, at_node = parity["top1_agreement"], parity["max_lsb_at_any_node"]
    if agreement is not None and agreement < ALL_IMAGES:
        broken.append(f"the classes agree on {agreement:.2f} % of {parity['images']} images, not on all")
    allowed = 0 if exact else LARGEST_STEP
    if at_node > allowed:
        where = parity["first_divergence"]
        broken.append(f"a node differs by {at_node} LSB, {allowed} are promised; the first that differs is {where}")
    if exact and parity["max_lsb"]:
        broken.append(f"the logits differ by {parity['max_lsb']} LSB; the recipe promises that they are equal")
    return broken


def is_exact(report: Mapping[str, Any]) -> bool:
    """Whether the recipe promises bit-equality."""
    recipe = report.get("recipe")
    return isinstance(recipe, Mapping) and bool(recipe.get("exact"))
