"""The command line, ``fxpasses COMMAND``."""

from __future__ import annotations


def main() -> None:
    """Entry point of the console script."""
    raise SystemExit("fxpasses: the command line is not written yet")
