"""A fuzzer over readers of files: each mutation of a good file is taken, or refused with an ``FxPassesError``.

A reader is an entry of :data:`READERS`: good files, how to change one, and what reads it. What goes wrong is reported
with the seed that makes it again.
"""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from random import Random

from pt2_mutator import mutated_bytes, mutated_text
from pt2_seeds import saved, saved_lowered

from fxpasses.errors import FxPassesError
from fxpasses.export import load
from fxpasses.export.pt2_lowered import load_lowered

SLOWEST_SECONDS = 20.0


@dataclass(frozen=True)
class Reader:
    """One kind of file.

    Attributes:
        suffix: of its name.
        seeds: makes the good files, once.
        mutate: changes one of them.
        read: what a user would call; anything but success and ``FxPassesError`` is a find.
    """

    suffix: str
    seeds: Callable[[], list[bytes]]
    mutate: Callable[[bytes, Random], bytes]
    read: Callable[[Path], object]


@dataclass
class Findings:
    """Counts of what became of the mutations, and the defects found: seed -> what happened."""

    taken: int = 0
    refused: int = 0
    slowest_seconds: float = 0.0
    defects: dict[int, str] | None = None


def mutated_archive(content: bytes, random: Random) -> bytes:
    """A zip archive damaged as a whole, or, four times in five, an entry of it with everything else in order."""
    if random.random() < 0.2:
        return mutated_bytes(content, random)
    with zipfile.ZipFile(BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    weights = [5 if name.endswith(".json") else 1 for name in entries]
    (name,) = random.choices(list(entries), weights)
    entries[name] = (mutated_text if name.endswith(".json") else mutated_bytes)(entries[name], random)
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for entry, data in entries.items():
            archive.writestr(entry, data)
    return buffer.getvalue()


SEED_NETS = ("conv_bn_relu", "two_inputs", "dict_output", "attention", "channel_shuffle")

READERS: dict[str, Reader] = {
    "pt2": Reader(".pt2", lambda: [saved(net) for net in SEED_NETS], mutated_archive, load),
    "pt2 lowered": Reader(".pt2", lambda: [saved_lowered()], mutated_archive, load_lowered),
}
"""What there is to fuzz; other kinds of files are other entries."""


def fuzz(reader: Reader, folder: Path, seeds: range) -> Findings:
    """Read one mutation for each seed."""
    findings, good = Findings(defects={}), reader.seeds()
    assert findings.defects is not None
    for seed in seeds:
        random = Random(seed)
        path = folder / f"mutated{reader.suffix}"
        path.write_bytes(reader.mutate(random.choice(good), random))
        begun = time.monotonic()
        try:
            reader.read(path)
            findings.taken += 1
        except FxPassesError:
            findings.refused += 1
        except BaseException as error:  # noqa: BLE001  # that is what is looked for
            findings.defects[seed] = f"{type(error).__name__}: {error}"[:300]
        seconds = time.monotonic() - begun
        findings.slowest_seconds = max(findings.slowest_seconds, seconds)
        if seconds > SLOWEST_SECONDS:
            findings.defects[seed] = f"it took {seconds:.0f} s"
    return findings
