"""The zip of a bundle: the same files give the same bytes, and unpacked files stay in their folder.

Entries are written in the order of their names and all have the same date; ``run.py`` is executable. An archive from
elsewhere is read only if every entry is a plain file of a bundle, is no larger than its entry says, and has the hash
that ``bundle.json`` names.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from pathlib import Path

from fxpasses.errors import InputError
from fxpasses.export.files import atomic_write, staged_folder
from fxpasses.formats.bundle import Bundle
from fxpasses.formats.documents import checked, read_json
from fxpasses.formats.regular_files import why_not_regular

from .contents import ABOUT, ALL, RUN

DATE = (1980, 1, 1, 0, 0, 0)
"""Date of all entries: the first date that a zip can hold."""
LARGEST = 4 << 30
"""Largest number of bytes in an entry; ONNX files hold two gigabytes, and no other file is larger."""
_UNIX, _FILE = 3, 0o100000
_AGAIN = "copy it again, or make it again with fxpasses bundle"
_DAMAGED = (OSError, ValueError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error)


def write_archive(folder: Path, path: Path) -> None:
    """All files of a bundle's folder as a zip, written beside ``path`` and renamed.

    Raises:
        InputError: the zip cannot be written.
    """
    names = sorted(entry.name for entry in folder.iterdir())
    assert set(names) <= set(ALL), f"no files of a bundle: {sorted(set(names) - set(ALL))}"
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in names:
            entry = zipfile.ZipInfo(name, DATE)
            entry.create_system, entry.compress_type = _UNIX, zipfile.ZIP_DEFLATED
            entry.external_attr = (_FILE | (0o755 if name == RUN else 0o644)) << 16
            archive.writestr(entry, (folder / name).read_bytes())


def unpack_bundle(path: str | Path, folder: str | Path) -> Bundle:
    """Unpack a bundle from any source into a folder, and return the content of its ``bundle.json``.

    Raises:
        InputError: it cannot be read, holds something else than the files of a bundle, or one of them was changed.
    """
    path, folder = Path(path), Path(folder)
    why = why_not_regular(path)
    if why:
        raise InputError(f"no bundle {path}", why=why, fix="name a .zip that fxpasses bundle wrote")
    with staged_folder(folder) as stage:
        try:
            with zipfile.ZipFile(path) as archive:
                _extract(archive, path, stage)
        except _DAMAGED as error:
            raise InputError(
                f"cannot read the bundle {path}", why=str(error) or type(error).__name__, fix=_AGAIN
            ) from error
        return read_about(stage, path)


def read_about(folder: Path, named: Path | None = None) -> Bundle:
    """The ``bundle.json`` of an unpacked bundle, whose files are those it names.

    Raises:
        InputError: it cannot be read, or files are missing, or others.
    """
    named = named or folder
    about = checked(Bundle, read_json(folder / ABOUT, "the bundle's", _AGAIN), f"{named}: {ABOUT}", _AGAIN)
    for name, file in about.files.items():
        found = folder / name if name in ALL else None
        if found is None or not found.is_file() or sha256(found) != file.sha256:
            why = "it is missing" if found is None or not found.is_file() else "its content is not what was bundled"
            raise InputError(f"{named}: {name}", why=why, fix=_AGAIN)
    return about


def sha256(path: Path) -> str:
    """The SHA-256 hash of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def _extract(archive: zipfile.ZipFile, path: Path, stage: Path) -> None:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    for entry in entries:
        why = _why_not_entry(entry, names)
        if why:
            raise InputError(f"{path}: {entry.filename!a}", why=why, fix=_AGAIN)
        with archive.open(entry) as source, (stage / entry.filename).open("wb") as target:
            left = entry.file_size
            while block := source.read(min(1 << 20, left + 1)):
                left -= len(block)
                if left < 0:
                    raise zipfile.BadZipFile(f"{entry.filename} is larger than it says")
                target.write(block)
    if RUN in names:
        (stage / RUN).chmod(0o755)


def _why_not_entry(entry: zipfile.ZipInfo, names: list[str]) -> str | None:
    """Why an entry is no file of a bundle. A name of ours has no folder in it, so nothing lands elsewhere."""
    if entry.filename not in ALL:
        return "a bundle has no file of that name"
    if names.count(entry.filename) > 1:
        return "it is there twice"
    kind = (entry.external_attr >> 16) & 0o170000
    if kind not in (0, _FILE):
        return "it is no plain file"
    return "it is too large" if entry.file_size > LARGEST else None
