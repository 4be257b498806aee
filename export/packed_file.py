"""Saved graphs with one bit per weight: tensors of -1 and +1 are packed, and everything else is compressed.

The file contains a zip of the entries that :func:`fxpasses.export.save` writes. An entry whose bytes are all -1 or +1
(as int8) is stored as bits, the first in the lowest; one of -1, 0 and +1 as five values per byte. ``packed.json`` lists
the packed entries. The whole is one xz stream, in which the headers of small entries take almost no space.

Lossless: :func:`load_packed` restores the same ``.pt2`` and reads it as :func:`fxpasses.export.load` does, with all of
its checks; before that it limits the size that a small file may expand to.
"""

from __future__ import annotations

import io
import json
import lzma
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import fx

from fxpasses.errors import InputError
from fxpasses.formats.regular_files import why_not_regular

from .files import write_bytes_atomic
from .pt2.save_and_load import load, save
from .pt2_records.records import RefusedError, field, integer, parsed, refusing, shown, table, text

ENDING = ".fxbits"
MANIFEST = "packed.json"
_FORMAT = 1
_FEWEST = 64
"""Fewest bytes of an entry to pack; fewer do not pay for a line in the manifest."""
_LARGEST_RATIO = 300
"""Largest ratio of the entries' size to the file's: graphs are JSON, which compresses well, and a byte becomes 8."""
_PRESET = 6
_MEMORY = 1 << 26
"""Bytes of memory that the decoder may use: files are written with a dictionary of 8 MB."""
_TO_A_BYTE = {"sign": 8, "ternary": 5}
_POWERS = np.array([1, 3, 9, 27, 81], np.uint8)
_AGAIN = "save the graph again with fxpasses.export.packed_file.save_packed"


def save_packed(gm: fx.GraphModule, path: str | Path) -> Path:
    """Write a FLOAT or QUANTIZED graph with its binary and ternary integers packed.

    Raises:
        GraphError: the graph is neither, or cannot be saved.
        InputError: the file cannot be written, or its name does not end in ``.fxbits``.
    """
    path = Path(path)
    if path.suffix != ENDING:
        fix = f"name it {path.with_suffix(ENDING).name}"
        raise InputError(f"{path}", why=f"a packed graph is a {ENDING} file", fix=fix)
    with tempfile.TemporaryDirectory(prefix="fxpasses-") as folder:
        plain = save(gm, Path(folder) / "model.pt2").read_bytes()
    write_bytes_atomic(path, packed_archive(plain))
    return path


def load_packed(path: str | Path) -> fx.GraphModule:
    """Read a graph written by :func:`save_packed`. As with ``load``, the file need not be trusted.

    Raises:
        InputError: the file is missing, damaged, or has contents that ``save_packed`` does not write.
    """
    path = Path(path)
    with refusing(path, _AGAIN):
        if why := why_not_regular(path):
            raise RefusedError(why, f"name a {ENDING} file fxpasses wrote")
        plain = unpacked_archive(path.read_bytes())
    with tempfile.TemporaryDirectory(prefix="fxpasses-") as folder:
        put_together = Path(folder) / "model.pt2"
        put_together.write_bytes(plain)
        try:
            return load(put_together)
        except InputError as error:
            raise InputError(f"{path}", why=error.why, fix=_AGAIN) from error


def packed_archive(plain: bytes) -> bytes:
    """The packed form of a ``.pt2`` file."""
    manifest: dict[str, list[object]] = {}
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(plain)) as given, zipfile.ZipFile(target, "w") as packed:
        for info in given.infolist():
            data = given.read(info)
            kind = _kind_of(data)
            if kind is not None:
                manifest[info.filename] = [kind, len(data)]
                data = _pack(data, kind)
            _write(packed, info.filename, data)
        document = {"format": _FORMAT, "packed": manifest}
        _write(packed, MANIFEST, json.dumps(document).encode())
    return lzma.compress(target.getvalue(), lzma.FORMAT_XZ, preset=_PRESET)


def unpacked_archive(content: bytes) -> bytes:
    """The ``.pt2`` file from which a packed file was made.

    Raises:
        RefusedError: the file was not written by :func:`packed_archive`.
    """
    target = io.BytesIO()
    inner = _content(content)
    with _opened(inner) as packed, zipfile.ZipFile(target, "w") as plain:
        manifest = _manifest(packed, len(inner))
        for info in packed.infolist():
            if info.filename == MANIFEST:
                continue
            data = packed.read(info)
            if info.filename in manifest:
                data = _unpack(info.filename, data, *manifest.pop(info.filename))
            _write(plain, info.filename, data)
    if manifest:
        raise RefusedError(f"it is damaged: there is no {shown(next(iter(manifest)))}", _AGAIN)
    return target.getvalue()


def _content(content: bytes) -> bytes:
    """The content of a stream, after a check that it is not larger than a packed graph can be."""
    decoder, largest = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY), _LARGEST_RATIO * len(content)
    try:
        inner = decoder.decompress(content, largest + 1)
    except lzma.LZMAError as error:
        raise RefusedError(f"it is no packed graph, or damaged: {shown(str(error))}", _AGAIN) from error
    if len(inner) > largest:
        raise RefusedError(f"what is in it is more than {_LARGEST_RATIO} times as large as the file", _AGAIN)
    if not decoder.eof or decoder.unused_data:
        raise RefusedError("it is damaged: it does not end where its content does", _AGAIN)
    return inner


def _opened(content: bytes) -> zipfile.ZipFile:
    """The archive inside, after checks: it has a manifest, no entry twice, and entries of limited size."""
    try:
        packed = zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile as error:
        raise RefusedError(f"it is no packed graph, or damaged: {shown(str(error))}", _AGAIN) from error
    names = [info.filename for info in packed.infolist()]
    if MANIFEST not in names:
        raise RefusedError(f"it is no packed graph: there is no {MANIFEST}", _AGAIN)
    if len(set(names)) != len(names):
        raise RefusedError("it is damaged: an entry is in it twice", _AGAIN)
    if sum(info.file_size for info in packed.infolist()) > _LARGEST_RATIO * len(content):
        raise RefusedError(f"its entries are more than {_LARGEST_RATIO} times as large as the file", _AGAIN)
    return packed


def _manifest(packed: zipfile.ZipFile, size: int) -> dict[str, tuple[str, int]]:
    document = parsed(MANIFEST, packed.read(MANIFEST))
    if integer(field(document, "format", MANIFEST), "format") != _FORMAT:
        raise RefusedError("it is of another version", _AGAIN)
    found = {}
    for name, entry in table(field(document, "packed", MANIFEST), "packed").items():
        if not isinstance(entry, list) or len(entry) != 2 or entry[0] not in _TO_A_BYTE:
            raise RefusedError(f"it is damaged: {shown(name)} is packed in no way save_packed knows", _AGAIN)
        found[text(name, "an entry's name", 500)] = (entry[0], integer(entry[1], "a length", 0, size * 8))
    return found


def _kind_of(data: bytes) -> str | None:
    """The kind of packing for an entry; None if it contains bytes other than -1, 0 and +1."""
    values = np.frombuffer(data, np.int8)
    if len(values) < _FEWEST or not bool((np.abs(values) <= 1).all()) or values.min() == -128:
        return None
    return "ternary" if bool((values == 0).any()) else "sign"


def _pack(data: bytes, kind: str) -> bytes:
    values = np.frombuffer(data, np.int8)
    if kind == "sign":
        return np.packbits(values > 0, bitorder="little").tobytes()
    digits: NDArray[np.uint8] = np.zeros(-(-len(values) // 5) * 5, np.uint8)
    digits[: len(values)] = values + 1
    packed: bytes = (digits.reshape(-1, 5) * _POWERS).sum(1, dtype=np.uint8).tobytes()
    return packed


def _unpack(name: str, data: bytes, kind: str, count: int) -> bytes:
    if len(data) != -(-count // _TO_A_BYTE[kind]):
        raise RefusedError(f"it is damaged: {shown(name)} is not as long as {MANIFEST} says", _AGAIN)
    stored = np.frombuffer(data, np.uint8)
    if kind == "sign":
        bits = np.unpackbits(stored, count=count, bitorder="little").astype(np.int8)
        return (2 * bits - 1).astype(np.int8).tobytes()
    if len(stored) and int(stored.max()) > 242:  # 3 ** 5 - 1
        raise RefusedError(f"it is damaged: {shown(name)} holds what is no five ternary digits", _AGAIN)
    digits = (stored[:, None] // _POWERS % 3).astype(np.int8).reshape(-1)[:count]
    return (digits - 1).astype(np.int8).tobytes()


def _write(archive: zipfile.ZipFile, name: str, data: bytes, how: int = zipfile.ZIP_STORED) -> None:
    info = zipfile.ZipInfo(name)  # with a fixed date: the same graph gives the same file
    info.compress_type = how
    archive.writestr(info, data)
