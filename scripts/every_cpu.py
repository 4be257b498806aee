"""Int8 files on every CPU, real and emulated: are they the integers of exact arithmetic?

    python scripts/every_cpu.py [--data-root DATA] [--out FILE]      all nets, about an hour on two cores
    python scripts/every_cpu.py --quick                              the tiny nets and ResNet-20, minutes
    python scripts/every_cpu.py --bundles app.zip ...                the self-tests of bundles, nothing else

Files for the targets x86, x86-avx2 and arm run in onnxruntime on this machine and, under qemu, on x86 without VNNI
(Nehalem, Haswell) and on ARM (cortex-a72, neoverse-n1, max without SVE, max); one tiny net runs in PyTorch there, too.
CPUs with VNNI (tigerlake with AVX-512, arrow_lake without), which qemu does not know, are emulated by Bochs, which
boots a whole PC for each runtime. Every output is compared bit by bit with the exact integer reference. On ARM the
instructions of one inference are counted; time under emulation says nothing. What that needs (qemu, an ARM root,
wheels: 250 MB, with PyTorch 800; a PC: 290, one with PyTorch: 900) is fetched once, through apt and pip, into --cache;
no administrator is needed and nothing is installed.

DATA (or the folder FXPASSES_DATA names) holds models/, imagenet/ and cifar10/; what is not there is random.
Exit code: 0 if all that ran is exact, 1 if not.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TextIO, TypeVar

from emulation.bundle_tests import BundleTest, self_tests, unpacked
from emulation.cache import Unavailable, size_bytes
from emulation.checks import Check, outcomes_of
from emulation.children import Children, side_by_side
from emulation.cpus import ARM, EMULATED, HERE, Cpu, Emulation, WholeMachine, describe_x86, this_machine
from emulation.fetching import fetch_counting, fetch_emulation, fetch_torch, with_project
from emulation.int8_files import LARGE_NETS, RESNET20, TARGETS, TINY_NETS, Int8File, make_files
from emulation.outcome import ONNXRUNTIME, TORCH, Outcome
from emulation.tables import difference_table, failures, instructions_table, notes, summary
from emulation.whole_machine.fetch_machine import fetch_machine
from emulation.whole_machine.fetch_torch_machine import fetch_torch_machine
from rich.console import Console

from fxpasses.export.files import write_json_atomic
from fxpasses.machine.environment import environment, usable_threads

NETS = {net.name: net for net in (*TINY_NETS, RESNET20, *LARGE_NETS)}
QUICK = (*(net.name for net in TINY_NETS), RESNET20.name)
QUICK_IMAGES = 4
TORCH_NET = TINY_NETS[0].name
QUICK_BOOTED_CPUS = ("tigerlake",)
"""CPUs with a PC of their own in a quick run."""
QUICK_TORCH_CPUS = (HERE, "Haswell", "neoverse-n1")
"""CPUs for a quick run in PyTorch, which takes one to two minutes to import under emulation."""
TESTS = Path(__file__).resolve().parent.parent / "tests"
"""Folder of the tests, whose fixtures include the tiny nets."""
CACHE = Path.home() / ".cache" / "fxpasses" / "every_cpu"
WIDTH = 160
NOT_ASKED = "not asked for"

Fetched = TypeVar("Fetched")


def main(arguments: Sequence[str] | None = None, progress: TextIO = sys.stderr) -> int:
    chosen = parse(arguments)
    sys.path.append(str(TESTS))
    signal.signal(signal.SIGTERM, _interrupted)
    said, console = Console(file=progress), Console(width=WIDTH)
    with tempfile.TemporaryDirectory(prefix="every_cpu-") as folder, Children() as children:
        log = _Log(chosen.out, said)
        if chosen.bundles:
            tests = planned_bundles(chosen, Path(folder), said)
            side_by_side(lambda test: log.add(self_tests(test, children)), tests, children, chosen.jobs)
            order = {(test.cpu.name, ONNXRUNTIME): place for place, test in enumerate(tests)}
        else:
            checks = planned(chosen, _files(chosen, Path(folder), said), Path(folder), said)
            side_by_side(lambda check: log.add(outcomes_of(check, children)), checks, children, chosen.jobs)
            order = {(check.cpu.name, check.runtime): place for place, check in enumerate(checks)}
    outcomes = sorted(log.outcomes, key=lambda outcome: order[outcome.cpu, outcome.runtime])
    _print(outcomes, console)
    if chosen.cache.is_dir():
        console.print(f"{chosen.cache}: {size_bytes(chosen.cache) / 1e6:.0f} MB")
    return 1 if failures(outcomes) else 0


class _Log:
    """Outcomes so far, written to a file after each CPU, so that a stopped run keeps its results."""

    def __init__(self, file: Path | None, said: Console) -> None:
        self.outcomes: list[Outcome] = []
        self._file, self._said, self._lock = file, said, threading.Lock()

    def add(self, found: list[Outcome]) -> None:
        with self._lock:
            self.outcomes += found
            good = sum(outcome.is_good for outcome in found)
            told = f"{found[0].cpu}, {found[0].runtime}: {good} of {len(found)} good" if found else "nothing to do"
            self._said.print(told, style="dim")
            if self._file is not None:
                outcomes = [outcome.to_json() for outcome in self.outcomes]
                write_json_atomic(self._file, {"environment": environment(), "outcomes": outcomes})


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = os.environ.get("FXPASSES_DATA")
    names = [cpu.name for cpu in EMULATED]
    parser.add_argument("--quick", action="store_true", help=f"small nets only, {QUICK_IMAGES} images of ResNet-20")
    parser.add_argument("--nets", nargs="+", choices=NETS, metavar="NET", help=f"only these: {', '.join(NETS)}")
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=TARGETS, help="only these")
    parser.add_argument("--cpus", nargs="*", choices=names, metavar="CPU", help=f"only these: {', '.join(names)}")
    parser.add_argument("--torch-nets", nargs="*", choices=NETS, default=[TORCH_NET], metavar="NET",
                        help="those that run in PyTorch, too, which takes minutes to import (%(default)s)")  # fmt: skip
    parser.add_argument("--bundles", nargs="+", type=Path, metavar="ZIP", help="self-tests of these, and nothing else")
    parser.add_argument("--without-options", action="store_true", help="open files as if they asked for nothing")
    parser.add_argument("--data-root", type=Path, default=Path(data) if data else None, metavar="DATA")
    parser.add_argument("--cache", type=Path, default=CACHE, metavar="DIR", help="(%(default)s)")
    parser.add_argument("--jobs", type=int, default=usable_threads(), help="CPUs emulated at a time (%(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the outcomes here as JSON")
    chosen = parser.parse_args(arguments)
    chosen.cache = chosen.cache.expanduser().resolve()
    return chosen


def planned(chosen: argparse.Namespace, files: Sequence[Int8File], folder: Path, said: Console) -> list[Check]:
    """Checks to run: every file in onnxruntime, a few in PyTorch; this machine comes first."""
    fetched = _fetched_all(chosen, said, folder)
    few = [file for file in files if file.net in chosen.torch_nets]
    checks = []
    for cpu in chosen_cpus(chosen):
        base = Check(cpu, ONNXRUNTIME, files, folder / "ran" / cpu.folder_name, use_options=not chosen.without_options)
        in_torch = replace(base, runtime=TORCH, files=few, folder=base.folder / TORCH)
        if cpu.is_emulated:
            base = _on(base, fetched.booted if cpu.is_booted else fetched.plain)
            in_torch = _on(in_torch, fetched.for_torch(cpu))
        if cpu.is_emulated and cpu.architecture == ARM:
            if isinstance(fetched.counting, str):
                base = replace(base, why_uncounted=fetched.counting)
            else:
                base = replace(base, counting=fetched.counting[cpu.name])
        is_tried = few and (not chosen.quick or cpu.name in QUICK_TORCH_CPUS)
        checks += [base, in_torch] if is_tried else [base]
    return checks


def chosen_cpus(chosen: argparse.Namespace) -> list[Cpu]:
    """This machine, and the emulated CPUs asked for; a quick run leaves out what takes a minute to boot again."""
    names = chosen.cpus if chosen.cpus is not None else [cpu.name for cpu in EMULATED if _is_default(cpu, chosen.quick)]
    return [this_machine(), *(cpu for cpu in EMULATED if cpu.name in names)]


def _is_default(cpu: Cpu, quick: bool) -> bool:
    return not (quick and cpu.is_booted) or cpu.name in QUICK_BOOTED_CPUS


def planned_bundles(chosen: argparse.Namespace, folder: Path, said: Console) -> list[BundleTest]:
    """The self-tests of all bundles on each CPU; the machine itself comes first."""
    bundles = unpacked(chosen.bundles, folder / "bundles")
    fetched = _fetched_all(chosen, said, folder, only_onnxruntime=True)
    tests = []
    for cpu in chosen_cpus(chosen):
        test = BundleTest(cpu, bundles, folder / "ran" / cpu.folder_name)
        if cpu.is_emulated:
            found = fetched.booted if cpu.is_booted else fetched.plain
            test = replace(test, why_not=found) if isinstance(found, str) else replace(test, emulation=found)
        tests.append(test)
    return tests


def _on(check: Check, emulation: Emulation | WholeMachine | str) -> Check:
    """Return the check with its emulation, or with the reason why there is none."""
    return replace(check, why_not=emulation) if isinstance(emulation, str) else replace(check, emulation=emulation)


@dataclass(frozen=True)
class _AllFetched:
    """Emulation under qemu for onnxruntime, with counters, and with PyTorch; and PCs that Bochs boots, for either.

    Each may be the reason why there is none.
    """

    plain: Emulation | str
    counting: dict[str, Emulation] | str
    with_torch: Emulation | str
    booted: WholeMachine | str
    booted_with_torch: WholeMachine | str

    def for_torch(self, cpu: Cpu) -> Emulation | WholeMachine | str:
        if cpu.is_booted:
            return self.booted_with_torch
        return self.with_torch if cpu.architecture == ARM else self.plain


def _fetched_all(
    chosen: argparse.Namespace, said: Console, folder: Path, *, only_onnxruntime: bool = False
) -> _AllFetched:
    plain: Emulation | str = _fetched(
        lambda: fetch_emulation(chosen.cache), "qemu, an ARM root and onnxruntime", said)  # fmt: skip
    booted = _booted_fetched(chosen, said, only_onnxruntime=only_onnxruntime)
    if isinstance(plain, str):
        return _AllFetched(plain, plain, plain, *booted)
    describe_x86(folder / "described")
    described = replace(plain, described=folder / "described")
    if only_onnxruntime:
        return _AllFetched(described, NOT_ASKED, described, *booted)
    counting = _fetched(lambda: fetch_counting(chosen.cache, plain), "a qemu that counts instructions", said)
    with_torch: Emulation | str = described
    if chosen.torch_nets:
        with_torch = _fetched(lambda: fetch_torch(chosen.cache, plain), "PyTorch for ARM", said)
    if isinstance(with_torch, Emulation):
        with_torch = with_project(with_torch, folder / "project")
    return _AllFetched(described, counting, with_torch, *booted)


def _booted_fetched(
    chosen: argparse.Namespace, said: Console, *, only_onnxruntime: bool
) -> tuple[WholeMachine | str, WholeMachine | str]:
    """PCs with onnxruntime and with PyTorch, or why there are none."""
    booted: WholeMachine | str = NOT_ASKED
    with_torch: WholeMachine | str = NOT_ASKED
    if any(cpu.is_booted for cpu in chosen_cpus(chosen)):
        what = "Bochs, a kernel and onnxruntime for a whole PC"
        booted = _fetched(lambda: WholeMachine(fetch_machine(chosen.cache)), what, said)
        if chosen.torch_nets and not chosen.quick and not only_onnxruntime:
            with_torch = _fetched(lambda: fetch_torch_machine(chosen.cache), "PyTorch for a whole PC", said)
    return booted, with_torch


def _fetched(fetch: Callable[[], Fetched], what: str, said: Console) -> Fetched | str:
    said.print(f"looking for {what}", style="dim")
    try:
        return fetch()
    except Unavailable as error:
        said.print(f"{what}: {error}", style="dim")
        return f"{error.what}: {error.why}"


def _files(chosen: argparse.Namespace, folder: Path, said: Console) -> list[Int8File]:
    files = []
    for name in chosen.nets or (QUICK if chosen.quick else NETS):
        net = NETS[name]
        if chosen.quick:
            net = replace(net, inputs=min(net.inputs, QUICK_IMAGES))
        for file in make_files(net, chosen.targets, folder, chosen.data_root):
            said.print(f"made {file.name} ({file.about})", style="dim")
            files.append(file)
    return files


def _print(outcomes: Sequence[Outcome], console: Console) -> None:
    console.print(difference_table(outcomes, ONNXRUNTIME))
    if any(outcome.instructions for outcome in outcomes):
        console.print(instructions_table(outcomes))
    if any(outcome.runtime == TORCH for outcome in outcomes):
        console.print(difference_table(outcomes, TORCH))
    for note in notes(outcomes):
        console.print(note, markup=False)
    console.print(summary(outcomes))


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
