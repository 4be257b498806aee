"""The file of a saved detector: a zip of ``detector.json`` and one ``.pt2`` for each graph, all stored as they are.

Entries of other names, twice, compressed, or larger together than the file are refused before anything is read.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fxpasses.export.files import write_bytes_atomic
from fxpasses.export.pt2_records.records import RefusedError, parsed, shown
from fxpasses.formats.regular_files import why_not_regular

from ..parts import IMAGES, REGIONS

ENDING = ".fxdet"
ABOUT = "detector.json"
PART_ENDING = ".pt2"
_PARTS = (IMAGES, REGIONS)
_DATE = (1980, 1, 1, 0, 0, 0)
AGAIN = "save the detector again: detector.save(path)"
_NAME_ONE = f"name a {ENDING} file that detector.save wrote"


def write_container(path: Path, about: Mapping[str, Any], parts: Mapping[str, bytes]) -> None:
    """Write the file as a whole or not at all; the same content gives the same bytes.

    Raises:
        InputError: it cannot be written.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo(ABOUT, _DATE), json.dumps(about))
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(f"{name}{PART_ENDING}", _DATE), content)
    write_bytes_atomic(path, buffer.getbuffer())


def read_container(path: Path) -> tuple[Any, dict[str, bytes]]:
    """The description, as it is in the file, and the bytes of each graph.

    Raises:
        RefusedError: it is no file of a detector, or damaged.
    """
    if why := why_not_regular(path):
        raise RefusedError(why, _NAME_ONE)
    content = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _check(archive.infolist(), len(content))
            entries = {info.filename: archive.read(info) for info in archive.infolist()}
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError) as error:
        raise RefusedError(f"it is no saved detector, or damaged: {shown(str(error))}", _NAME_ONE) from error
    about = parsed(ABOUT, entries.pop(ABOUT))
    return about, {name.removesuffix(PART_ENDING): data for name, data in entries.items()}


def _check(infos: list[zipfile.ZipInfo], size: int) -> None:
    names = [info.orig_filename for info in infos]
    allowed = [ABOUT, *(f"{name}{PART_ENDING}" for name in _PARTS)]
    if ABOUT not in names or f"{IMAGES}{PART_ENDING}" not in names:
        raise RefusedError(f"it is no saved detector: there is no {ABOUT} and {IMAGES}{PART_ENDING} in it", _NAME_ONE)
    if others := sorted(set(names) - set(allowed)):
        raise RefusedError(f"{shown(others[0])} is nothing a saved detector holds", _NAME_ONE)
    if len(set(names)) != len(names):
        raise RefusedError("it is damaged: an entry is in it twice", AGAIN)
    if any(info.flag_bits & ~0x0800 or info.compress_type != zipfile.ZIP_STORED for info in infos):
        raise RefusedError("it is compressed or encrypted; detector.save stores entries as they are", AGAIN)
    if sum(info.file_size for info in infos) > size:
        raise RefusedError("it is damaged: its entries are larger than the file", AGAIN)
