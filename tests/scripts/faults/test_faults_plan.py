"""The plan of faults: every signal at every kind of moment, the same for the same seed."""

from __future__ import annotations

import signal
from collections import Counter

from faults.plan import CLOCK, DISK_MOMENTS, OPERATION, OPTIMISED_FILE, SIGNALS, plan


def test_every_signal_at_every_moment_and_every_disk_as_often() -> None:
    found = plan(60, 21, seed=0)
    kills = Counter((fault.signal, fault.moment) for fault in found if fault.signal is not None)
    assert kills == {(number, moment): 10 for number in SIGNALS for moment in (CLOCK, OPERATION)}
    assert Counter(fault.moment for fault in found if fault.signal is None) == dict.fromkeys(DISK_MOMENTS, 7)
    assert {fault.kind for fault in found} == {"SIGKILL", "SIGINT", "SIGTERM", "full disk"}
    assert len({fault.label for fault in found}) == 81
    assert {fault.command.name for fault in found} == {"quantize", "prune", "train", "sensitivity", "quickstart"}


def test_the_seed_says_all_of_it() -> None:
    assert plan(30, 10, seed=1) == plan(30, 10, seed=1)
    assert plan(30, 10, seed=1) != plan(30, 10, seed=2)
    assert plan(30, 10, seed=1)[:30] == plan(60, 0, seed=1)[:30]


def test_only_files_that_onnxruntime_writes_are_waited_for() -> None:
    waiting = [fault for fault in plan(0, 60, seed=0) if fault.moment == OPTIMISED_FILE]
    assert waiting and all(fault.command.is_optimised for fault in waiting)


def test_some_kills_strike_a_process_of_its_own() -> None:
    alone = [fault for fault in plan(60, 20, seed=0) if fault.in_process]
    assert {fault.signal for fault in alone} == set(SIGNALS)
    assert all(fault.moment == CLOCK for fault in alone)
    assert signal.SIGKILL in {fault.signal for fault in alone}
