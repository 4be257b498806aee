"""Ctrl-C while libraries handle it in their own way."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from cli_runs import fxpasses

from fxpasses.cli import interruption


@pytest.fixture(autouse=True)
def watched() -> Iterator[None]:
    """Install our handler in place of Python's, as in a separate process."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    interruption.watch()
    yield
    interruption.forget()
    signal.signal(signal.SIGINT, before)


def swallow() -> None:
    """Swallow a KeyboardInterrupt, as some libraries do."""
    try:
        signal.raise_signal(signal.SIGINT)
    except BaseException:  # noqa: BLE001 - the point of the test
        return


def turn_into_an_error() -> None:
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt as error:
        raise ImportError("initialization failed") from error


def test_it_raises_as_ever_and_is_remembered() -> None:
    assert not interruption.was_pressed()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert interruption.was_pressed()


def test_held_raises_after_the_block() -> None:
    done = []

    def press_and_go_on() -> None:
        with interruption.held():
            signal.raise_signal(signal.SIGINT)
            done.append("the block")

    with pytest.raises(KeyboardInterrupt):
        press_and_go_on()
    assert done == ["the block"]


def test_held_without_a_press_is_nothing() -> None:
    with interruption.held():
        pass
    interruption.check()


def test_check_finds_a_swallowed_press() -> None:
    swallow()
    with pytest.raises(KeyboardInterrupt):
        interruption.check()


def test_forget() -> None:
    swallow()
    interruption.forget()
    interruption.check()


@pytest.mark.parametrize("library", [swallow, turn_into_an_error])
def test_a_command_is_interrupted_all_the_same(library: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fxpasses.machine.doctor.diagnose", library)
    done = fxpasses("doctor")
    assert (done.code, done.out, done.err) == (130, "", "interrupted: nothing was left half-written\n")


def test_watch_leaves_a_process_in_the_background_alone() -> None:
    """A shell starts such a process with SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interruption.watch()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_the_process_exits_with_130_even_where_python_would_die_of_the_signal() -> None:
    """Python kills itself by SIGINT once a KeyboardInterrupt has passed through ``exec``."""
    code = (
        "import signal, fxpasses.cli.app as app\n"
        "app.run = lambda _: exec('signal.raise_signal(signal.SIGINT)')\n"
        "from fxpasses.cli import main\n"
        "main([])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "interrupted: nothing was left half-written\n")
