"""Booting: what the emulated PC tells becomes this program's output, files and exit code. Bochs is a stand-in here."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from emulation.whole_machine import boot

BOCHS = """
import re, sys, time
serial = re.search('dev="(.*)"', open(sys.argv[sys.argv.index("-f") + 1]).read())[1]
with open(serial, "w", buffering=1) as line:
    for text in {lines!r}:
        line.write(text + "\\r\\n")
        time.sleep(0.01)
{last}
"""
FOREVER = "while True: time.sleep(1)"


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> object:
    """Function that runs ``boot`` with a stand-in which tells lines, and then ends or not."""
    monkeypatch.setattr(boot, "make_image", lambda *_: Path(__file__))

    def run(lines: list[object], last: str = FOREVER) -> int:
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        (tmp_path / "bochs.py").write_text(BOCHS.format(lines=texts, last=last))
        monkeypatch.setattr(boot, "own_program", lambda machine, name: [sys.executable, str(tmp_path / "bochs.py")])
        given = ["--machine", str(tmp_path), "--cpu", "tigerlake", "--returned", str(tmp_path / "out.bin")]
        return boot.main([*given, "--", "program.py"])

    return run


def test_output_files_and_code_come_from_the_guest(
    emulated: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(emulated)
    halves = [base64.b64encode(part).decode() for part in (b"first half, ", b"second half")]
    out, stranger = str(tmp_path / "out.bin"), str(tmp_path / "stranger.bin")
    lines: list[object] = ["[    0.81] a line of the kernel", {"out": "done"}, {"err": "beware"}]
    lines += [{"file": out, "data": half} for half in halves] + [{"file": stranger, "data": halves[0]}, {"end": 2}]
    assert emulated(lines) == 2
    told = capsys.readouterr()
    assert (told.out, told.err) == ("done\n", "beware\n")
    assert Path(out).read_bytes() == b"first half, second half"
    assert not Path(stranger).exists(), "only files that were asked for are written"


def test_a_pc_that_stops_early_is_an_error_with_its_last_lines(
    emulated: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(emulated)
    assert emulated([{"out": "begun"}, "Kernel panic - not syncing"], last="") == 1
    told = capsys.readouterr()
    assert told.out == "begun\n"
    assert told.err.splitlines()[-2:] == [
        "Kernel panic - not syncing",
        "the emulated PC stopped before its program ended",
    ]


def test_a_signal_in_the_guest_ends_this_program_the_same_way(tmp_path: Path) -> None:
    (tmp_path / "bochs.py").write_text(BOCHS.format(lines=['{"end": -4}'], last=FOREVER))
    program = f"""
import sys
sys.path.insert(0, {str(Path(boot.__file__).parents[2])!r})
from emulation.whole_machine import boot
boot.make_image = lambda *_: boot.Path(boot.__file__)
boot.own_program = lambda machine, name: [sys.executable, {str(tmp_path / "bochs.py")!r}]
sys.exit(boot.main(["--machine", "pc", "--cpu", "tigerlake", "--", "program.py"]))
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGILL


def test_a_pc_has_room_for_its_root_packed_and_unpacked() -> None:
    assert boot.memory_mb(200 * 2**20) == boot.SMALLEST_MEMORY_MB
    assert boot.memory_mb(800 * 2**20) == 512 + 2000
