"""The cells of a row of the matrix, equal in all output formats, and the sentences beside the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fxpasses.measure.matrix.verdicts import BASELINE, FASTER, SLOWER

from ..numbers import UNKNOWN, bytes_text, condition_text, three_digits

Document = Mapping[str, Any]
COLUMNS = ("variant", "median ms", "mean ± std", "size", "times as fast", "interval", "verdict")
ENERGY = "energy"
"""Title of the last column, which is there if energy was read."""
LEVELS = {FASTER: "good", SLOWER: "bad"}
"""Style of each verdict that has one, good or bad."""


def columns(document: Document) -> tuple[str, ...]:
    """The names of the columns."""
    return (*COLUMNS, ENERGY) if any(row["millijoules"] is not None for row in document["rows"]) else COLUMNS


def cells(row: Document, names: tuple[str, ...] = COLUMNS) -> tuple[str, ...]:
    """The text of a row's cell in each column."""
    interval = row["interval"]
    found = (
        row["name"],
        three_digits(row["median_ms"]),
        f"{three_digits(row['mean_ms'])} ± {three_digits(row['std_ms'])}",
        bytes_text(row["size_bytes"]),
        "" if row["verdict"] == BASELINE else three_digits(row["ratio"]),
        UNKNOWN if interval is None else "–".join(map(three_digits, interval)),
        row["verdict"],
        UNKNOWN if row["millijoules"] is None else f"{three_digits(row['millijoules'])} mJ",
    )
    return found[: len(names)]


def places(document: Document) -> Iterator[tuple[str, list[Document]]]:
    """Groups of rows with the same device, batch and threads, each with a title that names these."""
    found: dict[str, list[Document]] = {}
    for row in document["rows"]:
        found.setdefault(f"{condition_text(row)} · {row['device']}", []).append(row)
    yield from found.items()


def warnings_of(document: Document) -> list[str]:
    """A sentence for each setting at which the machine was noisy."""
    return [f"noisy machine, {condition_text(each)}: {each['why']}" for each in document["noise"] if each["why"]]


def lead(document: Document) -> str:
    """One sentence on the baseline of the comparison."""
    compared = f"“Times as fast” is against {document['baseline']}"
    imported = any(not row["paired"] for row in document["rows"])
    return compared + (", on other devices against their own float32 file." if imported else ".")


def remarks(document: Document) -> list[str]:
    """Remarks on variants that were left out, and on the energy that could be read, as sentences."""
    return [*document["notes"], *document["energy"]]
