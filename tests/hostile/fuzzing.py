"""A fuzzer for readers of files: each mutation of a good file is accepted, or refused with an ``FxPassesError``.

A reader has good files, a function that changes one, and a function that reads it. Every defect is reported with the
seed that reproduces it.
"""

from __future__ import annotations

import itertools
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from random import Random

from pt2_mutator import mutated_bytes, mutated_text

from fxpasses.errors import FxPassesError

SLOWEST_SECONDS = 20.0


@dataclass(frozen=True)
class Reader:
    """One kind of file.

    Attributes:
        name: name of the file.
        seeds: makes the good files, once.
        mutate: changes one of them.
        read: the function of the library under test; any error except ``FxPassesError`` is a defect.
        prepare: makes the files that are read beside it, once.
    """

    name: str
    seeds: Callable[[], list[bytes]]
    mutate: Callable[[bytes, Random], bytes]
    read: Callable[[Path], object]
    prepare: Callable[[Path], object] = lambda _: None


@dataclass
class Findings:
    """Counts of the results of mutations, and the defects found: seed -> description."""

    taken: int = 0
    refused: int = 0
    slowest_seconds: float = 0.0
    defects: dict[int, str] = field(default_factory=dict)

    @property
    def mutations(self) -> int:
        return self.taken + self.refused + len(self.defects)


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


def seeds_for(seconds: float, first: int) -> Iterator[int]:
    """Yield seeds from the first one on, until the time is up; it starts with the first request."""
    end = time.monotonic() + seconds
    for seed in itertools.count(first):
        yield seed
        if time.monotonic() >= end:
            return


def fuzz(reader: Reader, folder: Path, seeds: Iterable[int]) -> Findings:
    """Read one mutation for each seed."""
    findings, good = Findings(), reader.seeds()
    reader.prepare(folder)
    for seed in seeds:
        random = Random(seed)
        path = folder / reader.name
        path.write_bytes(reader.mutate(random.choice(good), random))
        begun = time.process_time()
        try:
            reader.read(path)
            findings.taken += 1
        except FxPassesError:
            findings.refused += 1
        except BaseException as error:  # noqa: BLE001  # that is what is looked for
            findings.defects[seed] = f"{type(error).__name__}: {error}"[:300]
        seconds = time.process_time() - begun
        findings.slowest_seconds = max(findings.slowest_seconds, seconds)
        if seconds > SLOWEST_SECONDS:
            findings.defects[seed] = f"it took {seconds:.0f} s"
    return findings
