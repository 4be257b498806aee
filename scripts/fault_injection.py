"""Kill commands, interrupt them and fill their disk at random moments: does the folder hold one complete result?

    python scripts/fault_injection.py                      60 kills and 20 full disks, about ten minutes
    python scripts/fault_injection.py --kills 600 --disks 200 --seed 1
    python scripts/fault_injection.py --only kill-17       one of them again

quantize, prune, train, sensitivity and quickstart run over an older result, on a net of a few weights. Half of the
signals (KILL, INT, TERM) come by the clock, half just before an operation on files; disks become full after so many
bytes, before such an operation, or as onnxruntime writes its optimised file. Afterwards the folder must hold the old
result or the new one, complete, every file readable by its own reader, with the exit code promised, no traceback, and
nothing left behind; what a process killed by SIGKILL leaves, the next run must clear away.

The disk is a tmpfs of 8 MiB where root may mount one, else the limit on file sizes; which one is said. Linux only.
Exit code: 0 if all is right, 1 if one trial is not.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from faults.children import preload
from faults.disks import small_disk
from faults.plan import Fault, plan
from faults.tables import count_table, wrong
from faults.trials import Bench, Trial
from rich.console import Console

KILLS, DISKS = 60, 20
WIDTH = 120


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = _parse(arguments)
    signal.signal(signal.SIGTERM, _stop)  # mounted file systems are unmounted
    faults = [fault for fault in plan(chosen.kills, chosen.disks, chosen.seed) if chosen.only in (None, fault.label)]
    if not faults:
        raise SystemExit(f"there is no trial {chosen.only} among {chosen.kills} kills and {chosen.disks} disks")
    said, results = Console(file=sys.stderr, width=WIDTH), Console(width=WIDTH)
    preload()
    # No TemporaryDirectory: a forked child would remove it as its own when it ends.
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        trials = _run(faults, folder, said)
    finally:
        shutil.rmtree(folder)
    results.print(count_table(trials))
    for line in wrong(trials):
        results.print(line, markup=False, soft_wrap=True)
    return 1 if wrong(trials) else 0


def _run(faults: Sequence[Fault], folder: Path, said: Console) -> list[Trial]:
    trials = []
    (folder / "disk").mkdir()
    with small_disk(folder / "disk") as disk:
        said.print(
            f"full disks are {'a tmpfs' if disk.is_mounted else 'a limit on file sizes: nothing can be mounted'}"
        )
        bench = Bench(folder / "work", disk)
        for fault in faults:
            begun = time.monotonic()
            trials.append(bench.run(fault))
            _tell(trials[-1], time.monotonic() - begun, said)
    return trials


def _stop(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _tell(trial: Trial, seconds: float, said: Console) -> None:
    fault, assessed = trial.fault, trial.assessment
    line = f"{fault.label}  {fault.command.name}  {fault.kind} at {fault.moment} {fault.at:.2f}"
    outcome = "right" if assessed.why_wrong is None else f"WRONG: {assessed.why_wrong}"
    said.print(
        f"{line}: {trial.ended.code}, {assessed.state}, {outcome} ({seconds:.1f} s)", markup=False, soft_wrap=True
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=KILLS, help=f"how many signals; {KILLS}")
    parser.add_argument("--disks", type=int, default=DISKS, help=f"how many full disks; {DISKS}")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is random")
    parser.add_argument("--only", metavar="LABEL", help="one trial, as kill-17 or disk-3")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
