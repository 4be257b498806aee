"""The command line itself: help, exit codes, text and streams, JSON, progress."""

from __future__ import annotations

import errno
import io
import json
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cli_runs import command, fxpasses, fxpasses_process
from rich.console import Console

from fxpasses.cli import app, failures
from fxpasses.cli.options import shared as options
from fxpasses.cli.options.methods import check_method
from fxpasses.cli.options.static import overrides_of
from fxpasses.cli.terminal import Terminal, open_terminal
from fxpasses.errors import InputError

COMMANDS = (
    *("quickstart", "quantize", "sensitivity", "prune", "parity", "bench", "audit", "diff", "score", "bundle"),
    *("report", "serve", "view", "train", "doctor"),
)


def doctor_fails_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make ``fxpasses doctor`` raise an error."""

    def diagnose() -> None:
        raise error

    monkeypatch.setattr("fxpasses.machine.doctor.diagnose", diagnose)


def test_help_names_every_command() -> None:
    done = fxpasses("--help")
    assert done.code == 0
    assert [name for name in COMMANDS if name not in done.out] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    done = fxpasses(name, "--help")
    assert done.code == 0
    assert "--help" in done.out


def test_version() -> None:
    assert fxpasses("--version").out.startswith("fxpasses 0.")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["quantise"], "quantize"),
        (["quantize"], "MODEL"),
        (["quantize", "lenet", "--data", "digits"], "--out"),
        (["quantize", "lenet", "--calibrate", "3"], "--calib"),
        (["quantize", "lenet", "--data", "digits", "--out", "x", "--form", "QDQ2"], "qoperator"),
        (["bench", "x", "--threads", "1,two"], "list of whole numbers"),
    ],
)
def test_usage_errors_exit_with_2(arguments: Sequence[str], said: str) -> None:
    done = fxpasses(*arguments)
    assert done.code == 2
    assert said in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("a thing", why="it is bad", fix="mend it"), 2, "error: a thing\n  why: it is bad\n  fix: mend it"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError("17 GiB"), 2, "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 2, "not enough memory"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "TMPDIR"),
        (PermissionError(errno.EACCES, "Permission denied", "/secret"), 2, "cannot use /secret\n  why: Permission"),
        (ZeroDivisionError("division by zero"), 70, "a defect of fxpasses, not of your input: ZeroDivisionError"),
    ],
)
def test_exit_codes(monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str) -> None:
    doctor_fails_with(monkeypatch, error)
    done = fxpasses("doctor")
    assert done.code == code
    assert said in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    doctor_fails_with(monkeypatch, ZeroDivisionError("division by zero"))
    without, with_ = fxpasses("doctor"), fxpasses("--debug", "doctor")
    assert "what this prints: fxpasses --debug doctor" in without.err
    assert "Traceback" in with_.err
    assert with_.code == failures.DEFECT


def test_a_defect_is_no_usage_error_of_typers(monkeypatch: pytest.MonkeyPatch) -> None:
    """ValueError and RuntimeError are base classes of typer's own errors."""
    for error in (ValueError("x"), RuntimeError("x"), LookupError("x")):
        doctor_fails_with(monkeypatch, error)
        assert fxpasses("doctor").code == failures.DEFECT


def test_a_reader_that_leaves_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "from fxpasses.cli import main; main(['--help'])"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() in (1, failures.BROKEN_PIPE)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
@pytest.mark.slow
def test_kill_runs_the_cleanup(tmp_path: Path) -> None:
    """``timeout`` and batch systems end a program with SIGTERM: no stage may be left behind."""
    factory = tmp_path / "slow.py"
    factory.write_text(
        f"def data():\n    import time\n    open({str(tmp_path / 'begun')!r}, 'w')\n    time.sleep(60)\n"
    )
    arguments = ("quantize", "digits_cnn", "--data", f"{factory}:data", "--out", tmp_path / "out")
    process = subprocess.Popen(command(*arguments), stderr=subprocess.PIPE)
    while not (tmp_path / "begun").exists():
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_terminal_without_unicode_gets_question_marks() -> None:
    done = fxpasses_process("doctor", PYTHONIOENCODING="ascii")
    assert done.code in (0, 1), done.err
    assert "?" in done.out


def test_json_to_stdout_leaves_stdout_to_json() -> None:
    done = fxpasses("doctor", "--json", "-")
    assert json.loads(done.out)["ok"] in (True, False)
    assert "targets" in done.err


def test_json_file_of_a_failed_command_is_as_before(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text("old")
    done = fxpasses("audit", tmp_path / "absent.onnx", "--json", tmp_path / "old.json")
    assert done.code == 2
    assert (tmp_path / "old.json").read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["old.json"]


def test_json_file_that_cannot_be_written_is_told_before_the_work(tmp_path: Path, monkeypatch: Any) -> None:
    doctor_fails_with(monkeypatch, AssertionError("the work has begun"))
    done = fxpasses("doctor", "--json", tmp_path)
    assert done.code == 2
    assert "a folder of that name is in the way" in done.err


def test_steps_are_silent_off_a_terminal_and_timed() -> None:
    screen = io.StringIO()
    terminal = Terminal(Console(file=screen), Console(file=screen))
    with terminal.step("count", 3) as step:
        step.advance(3)
        step.at("more", 3, 3)
    assert screen.getvalue() == ""
    assert list(terminal.durations) == ["count"]


@pytest.mark.parametrize("timing", [False, True])
def test_steps_show_a_bar_on_a_terminal(timing: bool) -> None:
    screen = io.StringIO()
    terminal = Terminal(Console(file=screen), Console(file=screen, force_terminal=True, width=100))
    with terminal.step("count", 3, timing=timing) as step:
        step.advance(1)
        step.at("the rest", 3, 3)
    assert "count" in screen.getvalue()
    assert "3/3" in screen.getvalue()
    assert "✓" in screen.getvalue()


def test_a_failed_step_is_not_ticked_off() -> None:
    screen = io.StringIO()
    terminal = Terminal(Console(file=screen), Console(file=screen, force_terminal=True, width=100))
    with pytest.raises(KeyError), terminal.step("count", 3):
        raise KeyError
    assert "✓" not in screen.getvalue()


def test_our_warnings_become_notes_and_others_are_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    with open_terminal() as terminal:
        warnings.warn_explicit(
            "captured in a lesser way", UserWarning, "tracing.py", 1, module="fxpasses.capturing.attempts"
        )
        warnings.warn_explicit("a dtype is deprecated", UserWarning, "torch.py", 1, module="torch.fx")
    assert terminal.warnings == ["captured in a lesser way"]
    assert capsys.readouterr().err == "note: captured in a lesser way\n"


def test_nan_is_not_json() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"), open_terminal("-") as terminal:
        terminal.document = float("nan")


def test_whole_numbers() -> None:
    assert options.whole_numbers("1,2, 8", "--batch", 8) == (1, 2, 8)


def test_unknown_methods() -> None:
    check_method("static")
    with pytest.raises(InputError, match="there is no such method"):
        check_method("magic")


def test_observers_for_all_and_for_some() -> None:
    observer, overrides = overrides_of(["minmax", "layer1.*=percentile:99.9"], ["linear"])
    assert observer == "minmax"
    assert [(o.match, o.observer, o.keep_float) for o in overrides] == [
        ("layer1.*", "percentile:99.9", False),
        ("linear", None, True),
    ]
    assert overrides_of([], []) == (None, ())


def test_commands_are_registered_once() -> None:
    assert [one.name for one in app.app.registered_commands] == list(COMMANDS)
