"""Every operator that changed between opsets 13 and 18 has a rule, or is refused, and no rule is for another one."""

from __future__ import annotations

import onnx

from fxpasses.export.older_opsets.forms import BASE, is_same_form
from fxpasses.export.older_opsets.rules import RULES

REFUSED = frozenset(
    "Bernoulli BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow CenterCropPad Col2Im DFT GridSample "
    "GroupNormalization HammingWindow HannWindow MelWeightMatrix Optional OptionalGetElement OptionalHasElement STFT "
    "SequenceMap".split()
)
"""Operators that are new and that no older one replaces, or that no graph here has."""


def changed() -> set[str]:
    names = {schema.name for schema in onnx.defs.get_all_schemas_with_history() if not schema.domain}
    return {name for name in names if onnx.defs.has(name, BASE, "") and not is_same_form(name, 13)}


def test_every_operator_that_changed_is_decided_upon() -> None:
    assert changed() == RULES.keys() | REFUSED
    assert not RULES.keys() & REFUSED
