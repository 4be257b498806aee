"""Random damage to files: to their bytes, and to JSON documents in them, independent of their meaning."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

STRINGS = (
    *("", "x", "../x", "/etc/passwd", "__class__", "a.b.c", "lambda", "x=1", "x\ny", "'", '"', "\\", "{0}", "%s", "\0"),
    *("\ud800", "\u202e", "\uff45", "NaN", "Infinity", "torch.os.system", "torch.ops.aten.relu.default", "s0"),
    *("a" * 5000, "1e999", "0x10", "true", "null", "[]", "{}"),
)
NUMBERS = (
    *(0, 1, -1, 2, 3, 7, 8, 127, 128, 255, 256, -128, 2**15, 2**16, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53, 2**62),
    *(2**63 - 1, 2**63, -(2**63), 2**64, 10**30, 0.5, -0.0, 1e-45, 1e38, 1e308, 5e-324),
)
CONSTANTS: tuple[Any, ...] = (None, True, False, [], {}, [[]], [None], {"": None}, [0] * 9)


def mutated_bytes(data: bytes, random: Random) -> bytes:
    """One to four changes: bits flipped, bytes overwritten, ranges cut, repeated, moved or put in."""
    content = bytearray(data)
    for _ in range(random.randint(1, 4)):
        if not content:
            content += bytes(random.randrange(256) for _ in range(random.randint(1, 64)))
        at = random.randrange(len(content))
        length = min(random.choice((1, 2, 4, 16, 200, 5000)), len(content) - at)
        kind = random.randrange(7)
        if kind == 0:
            content[at] ^= 1 << random.randrange(8)
        elif kind == 1:
            content[at : at + length] = random.randbytes(length)
        elif kind == 2:
            del content[at : at + length]
        elif kind == 3:
            content[at:at] = content[at : at + length]
        elif kind == 4:
            content[at:at] = random.randbytes(length)
        elif kind == 5:
            del content[at:]
        else:
            other = random.randrange(len(content))
            content[at : at + length] = content[other : other + length]
    return bytes(content)


def mutated_json(document: Any, random: Random) -> Any:
    """A copy with one to three changes somewhere in it."""
    changed = copy.deepcopy(document)
    for _ in range(random.randint(1, 3)):
        places = list(_places(changed))
        if not places:
            return _value(random)
        holder, key = random.choice(places)
        _change(holder, key, random)
    return changed


def mutated_text(data: bytes, random: Random) -> bytes:
    """A JSON file with its values changed, or, one time in four, its bytes."""
    if random.random() < 0.25:
        return mutated_bytes(data, random)
    try:
        return json.dumps(mutated_json(json.loads(data), random)).encode()
    except (ValueError, RecursionError):
        return mutated_bytes(data, random)


def _places(value: Any) -> Any:
    """Every place of a document: its container and its key."""
    pending = [value]
    while pending:
        holder = pending.pop()
        inner = holder.items() if isinstance(holder, dict) else enumerate(holder) if isinstance(holder, list) else ()
        for key, child in inner:
            yield holder, key
            pending.append(child)


def _value(random: Random) -> Any:
    kind = random.randrange(4)
    if kind == 0:
        return random.choice(STRINGS)
    if kind == 1:
        return random.choice(NUMBERS)
    if kind == 2:
        return copy.deepcopy(random.choice(CONSTANTS))
    return random.randint(-300, 300)


def _change(holder: Any, key: Any, random: Random) -> None:
    """Change the value under a key, or its surroundings."""
    kind, old = random.randrange(8), holder[key]
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(old))
    elif kind == 2 and isinstance(holder, dict):
        holder[random.choice(STRINGS)] = holder.pop(key)
    elif kind == 3:
        other = random.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        holder[key], holder[other] = holder[other], holder[key]
    elif kind == 4 and isinstance(old, int):
        holder[key] = old + random.choice((-1, 1, 2, 64, -64))
    elif kind == 5 and isinstance(old, str) and old:
        at = random.randrange(len(old))
        holder[key] = old[:at] + random.choice(STRINGS) + old[at:]
    elif kind == 6 and isinstance(old, list):
        random.shuffle(old)
    else:
        holder[key] = _value(random)
