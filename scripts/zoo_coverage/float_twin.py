"""Tells nets whose outputs are noise from nets that int8 treats badly.

Some nets of random weights amplify every difference from layer to layer, so that no rounding of any kind leaves their
outputs near float. Their twin, the float net with nothing but its weights rounded to bfloat16, shows it: bfloat16 has
weights 8 significant bits for each value, finer than int8 by about 20 dB.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from fxpasses.measure.output_comparison import PartScore, compare_outputs

WANTED_DB = 10.0
"""SQNR that every part of every output has in int8, unless the float net is noise."""
NOISE_DB = 25.0
"""SQNR of the twin's part below which the part is noise."""


def bfloat16_twin(float_graph: fx.GraphModule) -> fx.GraphModule:
    """Copy a graph with its weights rounded to bfloat16, and kept in their dtype."""
    twin = copy.deepcopy(float_graph)
    with torch.no_grad():
        for parameter in twin.parameters():
            if parameter.is_floating_point():
                parameter.copy_(parameter.to(torch.bfloat16))
    return twin


def spoilt_parts(
    float_graph: fx.GraphModule, scores: Sequence[PartScore], inputs: tuple[Any, ...]
) -> tuple[list[str], float | None]:
    """Compare parts that are far from float with the same parts of the twin.

    Returns:
        Sentences on the parts that int8 alone has spoilt, and the twin's SQNR at the worst part, in decibels; None if
        no part is far from float.
    """
    far = [i for i, score in enumerate(scores) if score.sqnr_db is not None and score.sqnr_db < WANTED_DB]
    if not far:
        return [], None
    twins = compare_outputs(float_graph, bfloat16_twin(float_graph), [inputs])
    told, worst = [], None
    for i in far:
        found, twin = scores[i].sqnr_db, twins[i].sqnr_db
        if twin is None or twin >= NOISE_DB:
            of_twin = "is exact" if twin is None else f"has {twin:.1f} dB"
            told.append(f"{scores[i].part} has {found:.1f} dB, and with weights in bfloat16 it {of_twin}")
        worst = twin if worst is None or (twin is not None and twin < worst) else worst
    return told, worst
