"""A checkpoint is complete or not there, and nothing in one can run."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch

from fxpasses.errors import InputError
from fxpasses.training.runs.checkpoint_file import fingerprint, read_checkpoint, write_checkpoint

MADE_OF = fingerprint(torch.nn.Linear(3, 2), "settings")
CONTENT = {"done": 7, "weights": torch.arange(6.0), "rows": [[1, "open", 0.5]]}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "run" / "checkpoint.pt"
    write_checkpoint(path, CONTENT, MADE_OF)
    return path


class Evil:
    """Object in a stranger's file that would run code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch evil_was_here",)


def test_what_is_read_is_what_was_written(written: Path) -> None:
    content = read_checkpoint(written, MADE_OF)
    assert content["done"] == 7 and torch.equal(content["weights"], CONTENT["weights"])  # type: ignore[arg-type]
    assert content["rows"] == CONTENT["rows"] and [p.name for p in written.parent.iterdir()] == ["checkpoint.pt"]


def test_other_models_and_settings_have_other_fingerprints() -> None:
    others = [fingerprint(torch.nn.Linear(2, 3), "settings"), fingerprint(torch.nn.Linear(3, 2), "others")]
    assert len({MADE_OF, *others}) == 3


def test_of_another_model(written: Path) -> None:
    with pytest.raises(InputError, match="is of another run"):
        read_checkpoint(written, fingerprint(torch.nn.Linear(2, 3), "settings"))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_torn_one(written: Path, share: float) -> None:
    whole = written.read_bytes()
    written.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match=r"(?s)cannot read the checkpoint.*torn"):
        read_checkpoint(written, MADE_OF)


def test_one_that_would_run_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"format": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match="something else than tensors"):
        read_checkpoint(tmp_path / "evil.pt", MADE_OF)
    assert not (tmp_path / "evil_was_here").exists()


def test_one_of_another_version(tmp_path: Path) -> None:
    torch.save({"format": "fxpasses training checkpoint 1", "made_of": MADE_OF}, tmp_path / "old.pt")
    with pytest.raises(InputError, match=r"(?s)another version.*start the training again"):
        read_checkpoint(tmp_path / "old.pt", MADE_OF)


def test_a_file_of_something_else(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(2)}, tmp_path / "weights.pt")
    with pytest.raises(InputError, match="no training checkpoint"):
        read_checkpoint(tmp_path / "weights.pt", MADE_OF)


def test_none_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_checkpoint(tmp_path / "none.pt", MADE_OF)


@pytest.mark.parametrize(("number", "why"), [(errno.ENOSPC, "the disk is full"), (errno.EIO, "input/output error")])
def test_a_disk_that_fails_leaves_the_last_one(
    written: Path, monkeypatch: pytest.MonkeyPatch, number: int, why: str
) -> None:
    def fails(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        with pytest.raises(InputError, match=f"(?s)cannot write the checkpoint.*{why}"):
            write_checkpoint(written, {**CONTENT, "done": 8}, MADE_OF)
    assert read_checkpoint(written, MADE_OF)["done"] == 7
    assert [p.name for p in written.parent.iterdir()] == ["checkpoint.pt"]
    write_checkpoint(written, {**CONTENT, "done": 8}, MADE_OF)  # what the error says: free some space and resume
    assert read_checkpoint(written, MADE_OF)["done"] == 8
