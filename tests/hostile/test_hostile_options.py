"""Options at and beyond their limits: used, or refused with exit code 2; the process does not crash and leaves no
files.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
from cli_runs import SMALL, fxpasses, fxpasses_process, is_refused
from option_cases import option_values

from fxpasses.cli.options.shared import MOST_SEED, MOST_THREADS

LATE = "def f():\n    raise ValueError('far enough')\n"
"""Data that fails when it is opened: by then every option has been read."""
COMMANDS: dict[str, tuple[str, ...]] = {
    "quantize": ("digits_cnn", "--no-bench"),
    "sensitivity": ("digits_cnn",),
    "prune": ("digits_cnn", "--ratio", "0.3", "--no-bench"),
    "train": ("digits_cnn", "--epochs", "1"),
    "parity": ("absent",),
    "bench": ("absent",),
}
QUICK = 23
"""One in this many values is enough for a quick test."""


def _try_all(command: str, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(LATE)
    needed = {"--data": "mine.py:f", "--out": "w.pt" if command == "train" else "out", "--threads": "1"}
    needed = {} if command in ("parity", "bench") else needed
    count = 0
    for name, value in islice(option_values(command), 0, None, step):
        given = {**needed, name: value}
        done = fxpasses(command, *COMMANDS[command], *(part for pair in given.items() for part in pair))
        assert done.code == 2, f"{name} {value!r}: {done.code} {done.err}"
        assert "Traceback" not in done.err
        count += 1
    assert count
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == ["mine.py"]


@pytest.mark.parametrize("command", COMMANDS)
def test_some_values_of_options(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _try_all(command, QUICK, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_second_value_of_options(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _try_all(command, 2, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--threads", "100000", str(MOST_THREADS)),
        ("--threads", "-5", "threads: -5"),
        ("--seed", str(2**64), str(MOST_SEED)),
        ("--seed", "-1", "--seed"),
        ("--observer", "", "it names none"),
        ("--observer", "percentile:", "'' is not a number"),
        ("--data", "images=~nosuchuser/x", "write the path out"),
        ("--calib", str(2**63), "1000000000"),
        ("--out", "", "it is empty"),
    ],
)
def test_what_is_refused(option: str, value: str, said: str, tmp_path: Path) -> None:
    given = {"--data": "digits", "--out": str(tmp_path / "out"), option: value}
    net = "cifar_resnet20" if option == "--data" else "digits_cnn"
    done = fxpasses("quantize", net, *(part for pair in given.items() for part in pair))
    assert done.code == 2
    assert said in " ".join(done.err.replace("│", " ").split())
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_hundred_thousand_threads_in_a_process(tmp_path: Path) -> None:
    """This number of threads once ended the process with signal 11."""
    done = fxpasses_process(
        "quantize", "digits_cnn", "--data", "digits", "--threads", "100000", "--out", tmp_path / "o"
    )
    assert done.code == 2


@pytest.mark.slow
def test_the_largest_seed_and_most_threads(tmp_path: Path) -> None:
    ends = ("--seed", str(MOST_SEED), "--threads", str(MOST_THREADS), "--calib", "4", "--eval", "4")
    done = fxpasses("quantize", *SMALL, *ends, "--out", tmp_path / "out")
    assert done.code == 0, done.err


@pytest.mark.slow
def test_the_working_folder_as_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    few = ("--images", "8", "--calib", "8", "--node-images", "2", "--threads", "1")
    done = fxpasses("sensitivity", *SMALL[:3], *few, "--out", ".")
    assert done.code == 0, done.err
    assert (tmp_path / "here.journal.jsonl").is_file()
    assert (tmp_path / "here" / "sensitivity.html").is_file()


def test_out_that_is_the_working_folder_fails_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(LATE)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for out in (".", "./", "../here"):
        is_refused(fxpasses("quantize", "digits_cnn", "--data", "../mine.py:f", "--out", out), "far enough")
    assert not list((tmp_path / "here").iterdir())
