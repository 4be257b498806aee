"""Files of an old result and of a new one, for tests of the replacement."""

from __future__ import annotations

from pathlib import Path

from fxpasses.export.files import (
    staged_folder,
)

OLD, NEW = "what was there", "new"


def tree(folder: Path) -> dict[str, str]:
    """Every file below ``folder`` with its text, temporaries included."""
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}


def stage(folder: Path, texts: dict[str, str], interruption: type[BaseException] | None = None) -> None:
    with staged_folder(folder) as staging:
        for name, text in texts.items():
            (staging / name).write_text(text)
        if interruption:
            raise interruption
