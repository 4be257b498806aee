"""staged_folder: several files appear together, or none does."""

from __future__ import annotations

from pathlib import Path

import pytest
from staged_files import NEW, OLD, stage, tree

from fxpasses.errors import InputError
from fxpasses.writing.atomic import staged_folder


def test_staged_files_appear_together_and_others_stay(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.txt").write_text(OLD)
    (out / "other.txt").write_text(OLD)
    with staged_folder(out) as staging:
        (staging / "a.txt").write_text(NEW)
        (staging / "sub").mkdir()
        (staging / "sub" / "b.txt").write_text(NEW)
        assert (out / "a.txt").read_text() == OLD
    assert tree(out) == {"a.txt": NEW, "other.txt": OLD, "sub/b.txt": NEW}


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupted_stage_leaves_nothing(tmp_path: Path, interruption: type[BaseException]) -> None:
    (tmp_path / "a.txt").write_text(OLD)
    for out in (tmp_path, tmp_path / "new" / "deep"):
        with pytest.raises(interruption):
            stage(out, {"a.txt": NEW}, interruption)
    assert tree(tmp_path) == {"a.txt": OLD}
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("failing_move", range(6))
def test_a_move_that_fails_half_way_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing_move: int
) -> None:
    """The stage itself, two files replaced and one added: six renames; Ctrl-C at any of them puts everything back."""
    for name in ("a.txt", "c.txt"):
        (tmp_path / name).write_text(OLD)
    calls, replace = [0], Path.replace

    def interrupted(self: Path, target: Path) -> Path:
        calls[0] += 1
        if calls[0] == failing_move + 1:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stage(tmp_path, dict.fromkeys(("a.txt", "b.txt", "c.txt"), NEW))
    assert tree(tmp_path) == {"a.txt": OLD, "c.txt": OLD}


def test_a_folder_in_the_way_of_a_staged_file_stops_all(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(OLD)
    (tmp_path / "b.txt").mkdir()
    with pytest.raises(InputError, match="a folder of that name is in the way"):
        stage(tmp_path, {"a.txt": NEW, "b.txt": NEW})
    assert tree(tmp_path) == {"a.txt": OLD}
