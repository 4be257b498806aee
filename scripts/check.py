"""Runs all checks that a change must pass before it is pushed: ruff, its formatter, mypy, pytest. All run in any case.

python scripts/check.py            the checks
python scripts/check.py --fix      let ruff mend and format first
python scripts/check.py --slow     the slow tests as well
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHECKS = {
    "ruff": ("ruff", "check", "."),
    "format": ("ruff", "format", "--check", "."),
    "mypy": ("mypy",),
    "pytest": ("pytest", "--quiet"),
}
MENDING = {"ruff": ("ruff", "check", "--fix", "."), "format": ("ruff", "format", ".")}
SLOW = {"slow tests": ("pytest", "--quiet", "-m", "slow")}


def failed(checks: Mapping[str, Sequence[str]]) -> list[str]:
    """Run each check as ``python -m ...`` at the root of the checkout; return the names of those that failed."""
    names = []
    for name, arguments in checks.items():
        started = time.monotonic()
        done = subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, check=False)
        print(f"{name}: {'FAILED' if done.returncode else 'ok'} in {time.monotonic() - started:.0f} s", flush=True)
        if done.returncode:
            names.append(name)
    return names


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fix", action="store_true", help="let ruff mend and format first")
    parser.add_argument("--slow", action="store_true", help="run the slow tests as well")
    chosen = parser.parse_args(arguments)
    checks = CHECKS | (MENDING if chosen.fix else {}) | (SLOW if chosen.slow else {})
    names = failed(checks)
    print(f"failed: {', '.join(names)}" if names else "all checks passed")
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main())
