"""The command ``fxpasses``. This package may import every other package; only ``calls`` may import this one.

Nothing slow is imported before a command runs: each command module declares its options at the top and imports what
it needs inside. ``fxpasses --help`` loads neither torch nor onnxruntime.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; ``arguments`` default to those of the process.

    Exit codes: 0 done; 1 done, and the answer is no (of ``parity``, ``audit`` and ``doctor``); 2 bad input, explained
    in one message; 70 a defect of fxpasses; 130 interrupted by Ctrl-C; 128 + n stopped by signal n.
    """
    from . import interruption

    interruption.watch()
    from .failures import exit_with

    try:
        from .app import run
        from .process import prepare_process

        prepare_process(arguments)
        run(arguments)
    except KeyboardInterrupt as error:
        exit_with(error)
    finally:
        interruption.leave_if_pressed()
