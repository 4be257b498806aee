"""The first program of an emulated PC, run here on a file in place of the serial line."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from emulation.whole_machine.guest import ENVIRONMENT, MOUNTED, PART, run_task

PROGRAM = """
import os, sys
print("first"), print("zweite, ü")
print("wrong", file=sys.stderr)
open(sys.argv[1], "wb").write(bytes(range(256)) * 20)
sys.exit(3)
"""


def told(folder: Path, program: str, *returned: Path) -> list[dict[str, Any]]:
    (folder / "program.py").write_text(program)
    arguments = [str(folder / "program.py"), *map(str, returned)]
    (folder / "task.json").write_text(
        json.dumps({"arguments": arguments, "returned": [*map(str, returned), str(folder / "never written")]})
    )
    run_task(folder / "task.json", folder / "line")
    return [json.loads(line) for line in (folder / "line").read_text().splitlines()]


def test_output_errors_files_and_code_are_told_in_this_order(tmp_path: Path) -> None:
    out = tmp_path / "out.bin"
    said = told(tmp_path, PROGRAM, out)
    assert [part["out"] for part in said if "out" in part] == ["first", "zweite, ü"]
    assert [part["err"] for part in said if "err" in part] == ["wrong"]
    parts = [part for part in said if "file" in part]
    assert {part["file"] for part in parts} == {str(out)} and len(parts) == -(-256 * 20 // PART)
    assert b"".join(base64.b64decode(part["data"]) for part in parts) == out.read_bytes()
    assert said[-1] == {"end": 3}


def test_a_signal_is_a_negative_code(tmp_path: Path) -> None:
    assert told(tmp_path, "import os; os.kill(os.getpid(), 4)")[-1] == {"end": -4}


def test_the_program_has_one_thread_and_the_packages_of_the_root() -> None:
    assert ENVIRONMENT["OMP_NUM_THREADS"] == "1" and ENVIRONMENT["PYTHONPATH"] == "/wheels"


def test_no_file_system_hides_what_is_brought(tmp_path: Path) -> None:
    assert not any(tmp_path.is_relative_to(place) or Path("/tmp").is_relative_to(place) for _, place in MOUNTED)
