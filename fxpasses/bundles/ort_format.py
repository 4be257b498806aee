"""ORT-format files and the list of operators for a reduced build, by onnxruntime's own converter.

The converter runs in a process of its own, which prints what it likes. It writes a table of operators in the order of a
hash map, which follows addresses; where the system lets a process have the same ones each time (``setarch -R``), the
same model gives the same bytes.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from fxpasses.errors import InputError

from .contents import OPERATORS

LIMIT_S = 600.0
_CONVERTER = "onnxruntime.tools.convert_onnx_models_to_ort"
_LAST_LINES = 2


def convert_to_ort(folder: Path, platform_name: str) -> None:
    """Convert every ``.onnx`` file of a folder; adds ``.ort`` files and ``required_operators_and_types.config``.

    Args:
        folder: it holds the models that go to the device, and nothing else.
        platform_name: ``"arm"`` or ``"amd64"``; decides what the converter fuses.

    Raises:
        InputError: onnxruntime's converter fails; its own words are the reason.
    """
    settings = ["--optimization_style", "Fixed", "--enable_type_reduction", "--target_platform", platform_name]
    command = [*_at_the_same_addresses(), sys.executable, "-m", _CONVERTER, *settings, str(folder)]
    done = _run(command)
    written = folder / OPERATORS
    if done.returncode or not written.is_file():
        told = [line for line in done.stderr.splitlines() if line.strip()][-_LAST_LINES:]
        raise InputError(
            "onnxruntime's converter to ORT format",
            why=" ".join(told) or f"exit code {done.returncode}",
            fix="make the ONNX file again; if that is whole, update onnxruntime",
        )
    lines = written.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith("#")]  # these name files by their paths on this machine
    written.write_text("\n".join(kept) + "\n", encoding="utf-8")


def _at_the_same_addresses() -> Sequence[str]:
    """Prefix of a command that turns off random memory addresses; empty where the system does not support this."""
    found = shutil.which("setarch")
    prefix = [] if found is None else [found, platform.machine(), "-R"]
    return prefix if prefix and not _run([*prefix, "true"]).returncode else []


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
