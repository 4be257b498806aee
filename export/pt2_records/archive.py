"""The container of an untrusted ``.pt2`` file: every entry must be one that ``save`` writes, in the same form.

Only the bytes are read here; :mod:`fxpasses.export.pt2_program.program` interprets them. ``save`` does not compress
entries, so compressed ones are refused: a small file cannot expand to a large one, and no compressed stream can be
damaged.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
import zlib
from pathlib import Path

from fxpasses.formats.regular_files import why_not_regular

from .records import SAVE_AGAIN, TRUST, RefusedError, shown

FACTS = "fxpasses.json"
"""Name of the file with facts that ``save`` adds to a program, under ``extra/``."""

PROGRAM, FACTS_ENTRY = "models/model.json", f"extra/{FACTS}"
WEIGHTS, CONSTANTS = "data/weights/", "data/constants/"
CONFIGS = {WEIGHTS: "data/weights/model_weights_config.json", CONSTANTS: "data/constants/model_constants_config.json"}
_SAMPLES = "data/sample_inputs/model.pt"
_ENTRIES = re.compile(
    r"data/weights/weight_\d{1,9}|data/constants/tensor_\d{1,9}|archive_format|archive_version|byteorder"
    r"|\.data/(version|serialization_id)|"
    + "|".join(map(re.escape, (PROGRAM, _SAMPLES, FACTS_ENTRY, *CONFIGS.values()))),
    re.ASCII,
)
_FOLDER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_FLAGS = 0x0008 | 0x0800
"""Allowed flags, which torch sets: sizes after the data, and names in UTF-8; all others are refused."""


def read_entries(path: Path, *, plain: bool = False) -> dict[str, bytes]:
    """The contents of an archive by name, without its top folder.

    Args:
        plain: whether ``torch.export.save`` may have written it, without facts of ours; its pickled sample inputs are
            not read.

    Raises:
        RefusedError: it is no archive, is damaged, was not written by ``save``, or contains an entry that may run code.
    """
    content = _content(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = archive.infolist()
            names = _names(infos, plain)
            _check_sizes(infos, len(content))
            wanted = [(n, info) for n, info in zip(names, infos, strict=True) if not (plain and n == _SAMPLES)]
            entries = {name: archive.read(info) for name, info in wanted}
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError) as error:
        raise RefusedError(f"it is no .pt2 archive, or damaged: {shown(str(error))}") from error
    if entries.get(_SAMPLES):  # save writes none
        raise runs_code(_SAMPLES, "a pickled object")
    if entries.get("byteorder", b"little") != b"little":
        raise RefusedError("it was written on a machine of another byte order")
    for needed in (PROGRAM, *(() if plain else (FACTS_ENTRY,)), *CONFIGS.values()):
        if needed not in entries:
            raise RefusedError(f"it is damaged, or it holds no graph of fxpasses: there is no {needed}")
    return entries


def _content(path: Path) -> bytes:
    fix = "name a .pt2 file fxpasses wrote"
    if why := why_not_regular(path):
        raise RefusedError(why, fix)
    try:
        return path.read_bytes()
    except OSError as error:
        raise RefusedError(str(error), fix) from error


def _names(infos: list[zipfile.ZipInfo], plain: bool) -> list[str]:
    """Each entry's name without the top folder, which must be the same for all."""
    split = [info.filename.partition("/") for info in infos]
    names = [name for _, _, name in split]
    if FACTS_ENTRY not in names and not plain:
        for name in names:
            _refuse_pickle(name)
        raise RefusedError("fx.export.save did not write it")
    for info, name in zip(infos, names, strict=True):
        if info.filename != info.orig_filename or not _ENTRIES.fullmatch(name):
            _refuse_pickle(name)
            raise runs_code(shown(info.orig_filename), "nothing a saved graph holds")
    if len({folder for folder, _, _ in split}) != 1 or not _FOLDER.fullmatch(split[0][0]) or ".." in split[0][0]:
        raise runs_code(shown(split[0][0]), "no folder of a saved graph, or not the only one")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise runs_code(name, "in the archive twice")
        seen.add(name)
    return names


def _refuse_pickle(name: str) -> None:
    last = name.rsplit("/", 1)[-1]
    if last.startswith(("custom_obj", "opaque_obj")) or (name.endswith((".pt", ".pkl")) and name != _SAMPLES):
        raise runs_code(shown(name), "a pickled object")


def _check_sizes(infos: list[zipfile.ZipInfo], size: int) -> None:
    """Check that every entry is an uncompressed plain file, and that all together are not longer than the archive."""
    for info in infos:
        if info.flag_bits & ~_FLAGS:
            raise RefusedError(f"{info.filename} is encrypted, or stored in a way save does not know")
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise RefusedError(f"{info.filename} is compressed; save writes entries as they are", SAVE_AGAIN)
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
            raise runs_code(info.filename, "a link or a folder")
    if sum(info.file_size for info in infos) > size:
        raise RefusedError("it is damaged: its entries are larger than the archive", SAVE_AGAIN)


def runs_code(name: str, what: str) -> RefusedError:
    """The error for an entry that a saved graph does not have."""
    return RefusedError(f"{name} is {what}; reading it may run code", TRUST)
