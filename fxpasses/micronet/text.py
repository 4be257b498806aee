"""A score as text: a line for each layer, and the score with each accumulator."""

from __future__ import annotations

from .api import ACCUMULATORS, MicroNetScore
from .bases import COURSE
from .rows import Row

_HEADINGS = ("layer", "operator", "params", "bits", "multiplies", "bits", "adds", "exact bits")


def score_text(found: MicroNetScore, *, layers: bool = True) -> str:
    """Text of the whole score; with ``layers``, a line for each of them comes first."""
    lines = _table([_cells(found, row) for row in found.rows]) if layers else []
    lines += [
        f"storage     {found.params:,.0f} parameters of 32 bits, {found.storage_mb:.3f} MB",
        f"multiplies  {found.multiplies / 1e6:,.3f} M of 32 bits",
        *(f"adds        {found.adds(a) / 1e6:,.3f} M of 32 bits, {_named(a)}" for a in ACCUMULATORS),
    ]
    if found.base.name == COURSE:
        lines.append(f"score       {found.score():.6f} relative to {found.base.network} (multiply-accumulates)")
    else:
        lines += [_scored(found, a) for a in ACCUMULATORS]
    lines += [f"relative to {found.base.network}; an entry needed {found.base.bar}"]
    lines += [found.remark] if found.remark else []
    lines += [f"not counted, for want of a rule: {', '.join(found.uncounted)}"] if found.uncounted else []
    return "\n".join(lines)


def _scored(found: MicroNetScore, accumulator: str) -> str:
    mark = "score      " if accumulator == found.accumulator else "otherwise  "
    parts = f"{found.storage_score:.6f} + {found.operation_score(accumulator):.6f}"
    return f"{mark} {found.score(accumulator):.6f} = {parts}, {_named(accumulator)}"


def _named(accumulator: str) -> str:
    return "sums of the exact width" if accumulator == "exact" else f"sums of {accumulator} bits"


def _cells(found: MicroNetScore, row: Row) -> tuple[str, ...]:
    return (
        row.name,
        row.operator,
        f"{float(row.params(freebie=found.freebie)):,.1f}",
        _bits(row.weight_bits),
        f"{float(row.multiplies(freebie=found.freebie)):,.0f}",
        _bits(row.multiply_bits),
        f"{float(row.adds(found.accumulator)):,.0f}",
        _bits(row.exact_bits),
    )


def _bits(bits: int | None) -> str:
    return "" if bits is None else str(bits)


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in (*rows, _HEADINGS)) for i in range(len(_HEADINGS))]
    return [
        "  ".join(
            cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in (_HEADINGS, *rows)
    ] + [""]
