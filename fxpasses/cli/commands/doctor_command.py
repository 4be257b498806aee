"""``fxpasses doctor``: hardware, engines, versions, and what is missing."""

from __future__ import annotations

from ..options import shared as options
from ..terminal import open_terminal


def doctor_command(json: options.Json = None) -> None:
    """Say what this machine can run: CPU and its int8 instructions, engines, versions, and what is missing.

    Exits with 0 if nothing required is missing, else with 1.
    """
    with open_terminal(json) as terminal:
        with terminal.step("look around"):
            from fxpasses.machine.doctor import diagnose
            from fxpasses.machine.doctor_text import doctor_text

            found = diagnose()
        terminal.document = found.to_json()
        terminal.results.print(doctor_text(found))
        terminal.ok = found.ok
