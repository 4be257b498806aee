"""Plan of the trials: the fault, the command and the moment of each follow from a seed."""

from __future__ import annotations

import random
import signal
from dataclasses import dataclass

from faults.commands import COMMANDS, Command

SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
CLOCK, OPERATION, OPTIMISED_FILE, ROOM = "clock", "operation", "onnxruntime's file", "room"
"""Moments: a time; an operation on files; onnxruntime about to write; the number of bytes that fit on the disk."""
KILL_MOMENTS = (CLOCK, OPERATION)
DISK_MOMENTS = (ROOM, OPERATION, OPTIMISED_FILE)
_LATEST = 0.95
"""Latest time of a fault, as share of an undisturbed run; later, there would be nothing to disturb."""
_MOST_ROOM = 64 << 10
_IN_A_PROCESS = 7
"""One in this many kills by the clock hits a command in its own process."""


@dataclass(frozen=True)
class Fault:
    """One trial.

    Attributes:
        label: its name, which together with the seed determines it.
        signal: signal to send; None for a full disk.
        moment: one of the kinds above.
        at: place between begin and end (0 to 1): of the time, of the operations, or of the bytes.
        room: bytes that are left on a disk that becomes full at a moment.
        in_process: whether the command runs in its own process.
    """

    label: str
    command: Command
    signal: signal.Signals | None
    moment: str
    at: float
    room: int = 0
    in_process: bool = False

    @property
    def kind(self) -> str:
        return "full disk" if self.signal is None else self.signal.name


def plan(kills: int, disks: int, seed: int) -> list[Fault]:
    """Trials, evenly distributed over signals and moments, and over commands by their share."""
    return [_kill(number, seed) for number in range(kills)] + [_disk(number, seed) for number in range(disks)]


def _kill(number: int, seed: int) -> Fault:
    chance = random.Random(f"kill {seed} {number}")
    moment = KILL_MOMENTS[number // len(SIGNALS) % len(KILL_MOMENTS)]
    in_process = moment == CLOCK and number % _IN_A_PROCESS == 0
    command = COMMANDS[0] if in_process else _command(chance, COMMANDS)
    sent = SIGNALS[number % len(SIGNALS)]
    return Fault(f"kill-{number}", command, sent, moment, _LATEST * chance.random(), in_process=in_process)


def _disk(number: int, seed: int) -> Fault:
    chance = random.Random(f"disk {seed} {number}")
    moment = DISK_MOMENTS[number % len(DISK_MOMENTS)]
    writing = [command for command in COMMANDS if command.is_optimised or moment != OPTIMISED_FILE]
    room = 0 if moment == ROOM else chance.choice((0, chance.randrange(_MOST_ROOM)))
    return Fault(f"disk-{number}", _command(chance, writing), None, moment, chance.random(), room)


def _command(chance: random.Random, commands: tuple[Command, ...] | list[Command]) -> Command:
    return chance.choices(commands, [command.share for command in commands])[0]
