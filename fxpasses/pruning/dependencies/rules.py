"""The rules of all operators: for layers, for operators that move values, and for arithmetic."""

from __future__ import annotations

from . import layer_rules as label_layers
from . import move_rules as label_moves
from . import product_rules as label_products
from .labels import Rules


def _united(*tables: Rules) -> Rules:
    united = Rules()
    for table in tables:
        twice = united.keys() & table.keys()
        assert not twice, f"two rules for {sorted(twice)}"
        united.update(table)
    return united


RULES = _united(label_layers.RULES, label_moves.RULES, label_products.RULES)
"""Rule of each operator that has one, by the operator's name in the vocabulary."""
