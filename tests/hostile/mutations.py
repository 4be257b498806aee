"""Small changes of files: any bytes, or single values of documents. Every change follows from a seed."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**400, -(10**30), 0.5, -0.0, 1e308, -1e-320),
    *(float("nan"), float("inf"), float("-inf")),
    *(
        "",
        " ",
        "x",
        "0",
        "nan",
        "\0",
        "\ud800",
        "$\\frac{$",
        "$x^$",
        "a" * 10_000,
        "../../etc/passwd",
        "<script>",
        "~nobody/x",
    ),
    *([], [[]], [None], {}, {"": {}}, {"a": [1, {"b": None}]}),
)


def deep(depth: int = 100_000) -> str:
    """JSON with so many nested levels that a recursive reader fails."""
    return "[" * depth + "]" * depth


def paths_of(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Path of each value in a document; that of the document itself comes last."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield from paths_of(value, (*path, key))
    elif isinstance(document, list):
        for index, value in enumerate(document[:3]):
            yield from paths_of(value, (*path, index))
    yield path


def altered(document: Any, chance: random.Random) -> tuple[str, Any]:
    """Description of a change, and a copy of the document with one value replaced, removed, wrapped or renamed."""
    path = chance.choice(list(paths_of(document)))
    if not path:
        value = chance.choice(ODD_VALUES)
        return f"the whole is {value!r:.40}", value
    changed = copy.deepcopy(document)
    parent = changed
    for step in path[:-1]:
        parent = parent[step]
    last = path[-1]
    how = chance.choice(("replace", "replace", "replace", "remove", "rename", "wrap"))
    if how == "remove":
        del parent[last]
    elif how == "rename" and isinstance(parent, dict):
        parent[f"{last}_"] = parent.pop(last)
    elif how == "wrap":
        parent[last] = [parent[last]]
    else:
        parent[last] = chance.choice(ODD_VALUES)
        how = f"replace by {parent[last]!r:.40}"
    return f"{'.'.join(map(str, path))}: {how}", changed


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Bytes flipped, cut out, doubled, inserted, or cut short."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        at = chance.randrange(len(changed)) if changed else 0
        how = chance.randrange(6)
        if how == 0 and changed:
            changed[at] ^= 1 << chance.randrange(8)
        elif how == 1 and changed:
            changed[at] = chance.choice((0, 0x7F, 0x80, 0xFF))
        elif how == 2:
            del changed[at : at + chance.choice((1, 4, 100))]
        elif how == 3:
            changed[at:at] = bytes(chance.randrange(256) for _ in range(chance.choice((1, 4, 16))))
        elif how == 4:
            changed[at:at] = changed[at : at + chance.choice((1, 16, 300))]
        else:
            del changed[chance.choice((at, len(changed))) :]
    return bytes(changed)
