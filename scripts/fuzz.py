"""Damages good files at random and reads them: every reader must accept each or refuse it with an FxPassesError.

    python scripts/fuzz.py                          2000 mutations for every reader
    python scripts/fuzz.py --seconds 3600           an hour, shared between them
    python scripts/fuzz.py pt2 "pt weights" --first 5000 --mutations 1

A find is printed with its reader and its seed, which make it again; it becomes a case in tests/hostile. The readers are
those of tests/hostile/fuzz_readers.py. Exit code: 0 if nothing was found, 1 if anything was.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

TESTS = Path(__file__).resolve().parent.parent / "tests"
MUTATIONS = 2000


def main(arguments: Sequence[str] | None = None) -> int:
    sys.path[:0] = [str(TESTS), str(TESTS / "hostile")]
    from fuzz_readers import READERS
    from fuzzing import Findings, fuzz, seeds_for

    chosen = _parse(arguments, list(READERS))
    names = chosen.readers or list(READERS)
    found: dict[str, Findings] = {}
    warnings.simplefilter("ignore")  # of torch and Pillow, about files that are read all the same
    for name in names:
        seeds: Iterable[int] = range(chosen.first, chosen.first + chosen.mutations)
        if chosen.seconds is not None:
            seeds = seeds_for(chosen.seconds / len(names), chosen.first)
        with tempfile.TemporaryDirectory() as folder:
            found[name] = fuzz(READERS[name], Path(folder), seeds)
        print(f"{name}: {found[name].mutations} mutations, {len(found[name].defects)} finds", file=sys.stderr)
    table = Table("reader", "mutations", "taken", "refused", "finds", "slowest")
    for name, of_reader in found.items():
        counts = (of_reader.mutations, of_reader.taken, of_reader.refused, len(of_reader.defects))
        table.add_row(name, *map(str, counts), f"{of_reader.slowest_seconds:.1f} s")
    Console(width=100).print(table)
    for name, of_reader in found.items():
        for seed, what in of_reader.defects.items():
            print(f"{name}, seed {seed}: {what}")
    return 1 if any(of_reader.defects for of_reader in found.values()) else 0


def _parse(arguments: Sequence[str] | None, readers: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="*", metavar="READER", help=f"default: all, which are {', '.join(readers)}")
    parser.add_argument("--mutations", type=int, default=MUTATIONS, help=f"for each reader; {MUTATIONS}")
    parser.add_argument("--seconds", type=float, help="instead: how long, shared between the readers")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    chosen = parser.parse_args(arguments)
    for name in chosen.readers:
        if name not in readers:
            parser.error(f"no reader {name!r}")
    return chosen


if __name__ == "__main__":
    sys.exit(main())
