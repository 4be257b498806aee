"""Check expressions of shapes in a program: they are not used here, but other software may evaluate them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .archive import PROGRAM
from .records import TRUST, RefusedError, shown

_EXPRESSION = re.compile(r"[\w\s'(),=+*/<>-]*(\.\d[\w\s'(),=+*/<>-]*)*", re.ASCII)
_WORDS = frozenset(
    "Symbol Integer Float Rational Add Mul Pow Mod Max Min FloorDiv IntTrueDiv CleanDiv PythonMod ceiling floor "
    "CeilToInt FloorToInt TruncToInt TruncToFloat RoundToInt ToFloat CeilDiv FloatTrueDiv FloatPow PowByNatural "
    "Identity precision True False true false positive negative nonnegative integer real zero Eq Ne Lt Le Gt "
    "Ge And Or Not Equality Unequality GreaterThan LessThan StrictGreaterThan StrictLessThan".split()
)
_SYMBOL = re.compile(r"([suz]|zuf)\d+")
_LONGEST = 10_000


def check_expressions(program: Any) -> None:
    """Refuse a program with an expression that is not arithmetic of sizes."""
    for expression in _expressions(program):
        if not isinstance(expression, str) or not _is_shape_expression(expression):
            raise RefusedError(
                f"{PROGRAM}, with the expression {shown(str(expression))!r}, is no graph of tensor operations; "
                "reading it may run code",
                TRUST,
            )


def _expressions(document: Any) -> Iterator[Any]:
    pending = [document]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if "expr_str" in value:
                yield value["expr_str"]
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)


def _is_shape_expression(text: str) -> bool:
    if len(text) > _LONGEST or not _EXPRESSION.fullmatch(text):
        return False
    return all(w in _WORDS or _SYMBOL.fullmatch(w) for w in re.findall(r"[A-Za-z_]\w*", text))
