"""Every option of every command with values at its ends and beyond."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import get_args

from fxpasses.cli.commands.bench_command import bench_command
from fxpasses.cli.commands.parity_command import parity_command
from fxpasses.cli.commands.prune_command import prune_command
from fxpasses.cli.commands.quantize_command import quantize_command
from fxpasses.cli.commands.sensitivity_command import sensitivity_command
from fxpasses.cli.commands.train_command import train_command

NUMBERS = (
    *("0", "-1", "1", str(2**31), str(2**63 - 1), str(2**63), str(2**64), str(-(2**63)), "1" * 400, "1_000"),
    *("nan", "inf", "-inf", "1e400", "1e-400", "0x10", "٣", "", " ", "1.5", "1,2", "x"),
)
TEXTS = (
    *("", " ", "x", "=", ":", "a=", "=a", "*", "[", "percentile:", "percentile:nan", "node:*=", "-", "--", "..", "/"),
    *("~nosuchuser/x", "a" * 5000, "\udcff", "$\\frac{$", "<script>", "\x1b[31m", "sweep:3", "macs=nan", "macs=1e400"),
)
CALLBACKS: dict[str, Callable[..., None]] = {
    **{"quantize": quantize_command, "sensitivity": sensitivity_command, "prune": prune_command},
    **{"train": train_command, "parity": parity_command, "bench": bench_command},
}
SKIPPED = {"--json", "--context", "--model", "--folder"}
"""Options that take no value, or are tested elsewhere."""
SPELLED_OTHERWISE = {"--evaluate": "--eval"}


def option_values(command: str) -> Iterator[tuple[str, str]]:
    """Each option of a command that takes a value, with each value; the option's annotation tells
    which values to try.
    """
    for parameter in inspect.signature(CALLBACKS[command], eval_str=True).parameters.values():
        name = f"--{parameter.name.replace('_', '-')}"
        spelled = SPELLED_OTHERWISE.get(name, name)
        kinds = (get_args(parameter.annotation) or (parameter.annotation,))[:1]
        kinds = get_args(kinds[0]) or kinds
        if name in SKIPPED or bool in kinds:
            continue
        for value in NUMBERS if int in kinds or float in kinds else TEXTS:
            yield spelled, value
