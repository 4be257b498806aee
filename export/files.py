"""Sizes of files, and the writers of :mod:`fxpasses.writing.atomic`, by which everything is written here."""

from __future__ import annotations

from pathlib import Path

from fxpasses.errors import InputError
from fxpasses.writing.atomic import atomic_write as atomic_write
from fxpasses.writing.atomic import finish_killed as finish_killed
from fxpasses.writing.atomic import staged_folder as staged_folder
from fxpasses.writing.atomic import write_bytes_atomic as write_bytes_atomic
from fxpasses.writing.atomic import write_json_atomic as write_json_atomic
from fxpasses.writing.atomic import write_text_atomic as write_text_atomic


def file_bytes(path: str | Path) -> int:
    """Size of a file, with the weights an ONNX file keeps in others beside it.

    Raises:
        InputError: there is no such file, or it is no ONNX file in spite of its name.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"cannot open {path}", why="there is no such file", fix="give the path of a model's file")
    beside = _external_files(path) if path.suffix == ".onnx" else ()
    return path.stat().st_size + sum((path.parent / name).stat().st_size for name in beside)


def _external_files(path: Path) -> set[str]:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise InputError(f"{path} is not an ONNX file", why=str(error), fix="export it again") from error
    entries = (entry for tensor in model.graph.initializer for entry in tensor.external_data)
    return {entry.value for entry in entries if entry.key == "location"}
