"""Invalid archives: entries that hide each other, have false sizes, or grow when read."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
from collections.abc import Callable

from pt2_seeds import CONSTANTS, FACTS, PROGRAM, WEIGHTS, entries_of, packed

Trick = Callable[[], bytes]

CENTRAL = {"flags": (8, "<H"), "method": (10, "<H"), "crc": (16, "<L"), "stored": (20, "<L"), "size": (24, "<L"),
           "attributes": (38, "<L"), "offset": (42, "<L")}  # fmt: skip
LOCAL = {"flags": (6, "<H"), "method": (8, "<H"), "crc": (14, "<L"), "stored": (18, "<L"), "size": (22, "<L")}
"""Offsets and formats of fields in the two headers of an entry."""


def _patched(name: str, *, local: bool = True, **fields: int) -> bytes:
    """An archive with fields of one entry's headers overwritten."""
    content = bytearray(packed(entries_of()))
    full = f"archive/{name}".encode()
    for signature, layout, length in ((b"PK\1\2", CENTRAL, 46), (b"PK\3\4", LOCAL, 30)):
        if signature == b"PK\3\4" and not local:
            continue
        start = next(
            at
            for at in range(len(content))
            if content.startswith(signature, at) and content.startswith(full, at + length)
        )
        for field, value in fields.items():
            if field in layout:
                offset, form = layout[field]
                struct.pack_into(form, content, start + offset, value)
    return bytes(content)


def _with_entry(name: str, data: bytes = b"x", **attributes: int) -> bytes:
    buffer = io.BytesIO(packed(entries_of()))
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "a") as archive:
        warnings.simplefilter("ignore")  # of a name that is there already
        info = zipfile.ZipInfo(name)
        for key, value in attributes.items():
            setattr(info, key, value)
        archive.writestr(info, data)
    return buffer.getvalue()


def _renamed_raw(old: str, new: bytes) -> bytes:
    """An archive with a name replaced by one of the same length, in both headers."""
    assert len(new) == len(old)
    return packed(entries_of()).replace(old.encode(), new)


def _twice(name: str) -> bytes:
    return _with_entry(f"archive/{name}", entries_of()[name])


def _compressed(method: int, **changed: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in (entries_of() | changed).items():
            archive.writestr(f"archive/{name}", data)
    return buffer.getvalue()


def _in_folders(*folders: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, (name, data) in enumerate(entries_of().items()):
            archive.writestr(f"{folders[number % len(folders)]}{name}", data)
    return buffer.getvalue()


def _replaced(**entries: bytes) -> bytes:
    names = {"program": PROGRAM, "facts": FACTS, "weights": WEIGHTS, "constants": CONSTANTS}
    return packed(entries_of() | {names.get(name, name): data for name, data in entries.items()})


def _dropped(name: str) -> bytes:
    entries = entries_of()
    del entries[name]
    return packed(entries)


BIG = 20_000_000

CONTAINERS: dict[str, Trick] = {
    "the program twice": lambda: _twice(PROGRAM),
    "the weights' table twice": lambda: _twice(WEIGHTS),
    "a weight twice": lambda: _twice("data/weights/weight_0"),
    "the program in capitals": lambda: _with_entry("archive/MODELS/MODEL.JSON"),
    "an absolute path": lambda: _with_entry("/etc/passwd"),
    "an absolute path in the folder": lambda: _with_entry("archive//etc/passwd"),
    "two dots in front": lambda: _with_entry("../outside"),
    "two dots inside": lambda: _with_entry("archive/../../outside"),
    "two dots to itself": lambda: _with_entry("archive/models/../models/model.json"),
    "backslashes": lambda: _with_entry("archive\\..\\outside"),
    "a backslash for a slash": lambda: _renamed_raw("models/model.json", b"models\\model.json"),
    "a drive": lambda: _with_entry("C:/outside"),
    "a null byte": lambda: _renamed_raw("data/weights/weight_0", b"data/weights/weight\x000"),
    "a line break": lambda: _with_entry("archive/data/weights/weight_9\n"),
    "a look-alike digit": lambda: _with_entry("archive/data/weights/weight_\u0661"),
    "a look-alike letter": lambda: _with_entry("archive/m\u043edels/model.json"),
    "a folder": lambda: _with_entry("archive/models/", b""),
    "no folder": lambda: _in_folders(""),
    "two folders": lambda: _in_folders("one/", "two/"),
    "folders in each other": lambda: _in_folders("one/two/"),
    "a folder of dots": lambda: _in_folders("../"),
    "a folder of dots and letters": lambda: _in_folders("a..b/"),
    "an empty folder name": lambda: _in_folders("/"),
    "a link": lambda: _with_entry("archive/data/weights/weight_9", b"/etc/passwd", external_attr=0o120777 << 16),
    "a link in place of a weight": lambda: _patched("data/weights/weight_0", attributes=0o120777 << 16),
    "a device": lambda: _patched("data/weights/weight_0", attributes=0o020666 << 16),
    "an encrypted entry": lambda: _patched("data/weights/weight_0", flags=1),
    "an entry encrypted by one header": lambda: _patched(PROGRAM, flags=1, local=False),
    "strong encryption": lambda: _patched(PROGRAM, flags=0x41),
    "patched data": lambda: _patched(PROGRAM, flags=0x20),
    "a method nobody knows": lambda: _patched(PROGRAM, method=99),
    "stored data called compressed": lambda: _patched(PROGRAM, method=8),
    "a size of more": lambda: _patched("data/weights/weight_0", size=10_000, stored=10_000),
    "a size of less": lambda: _patched("data/weights/weight_0", size=4, stored=4),
    "a size of 4 GiB": lambda: _patched("data/weights/weight_0", size=2**32 - 2, stored=2**32 - 2),
    "sizes that differ": lambda: _patched("data/weights/weight_0", size=10_000),
    "a size of 64 bits that is missing": lambda: _patched("data/weights/weight_0", size=2**32 - 1),
    "a wrong sum": lambda: _patched(PROGRAM, crc=1),
    "an offset behind the end": lambda: _patched(PROGRAM, offset=2**31),
    "an offset onto another entry": lambda: _patched("data/weights/weight_1", offset=0),
    "a bomb of a weight": lambda: _compressed(zipfile.ZIP_DEFLATED, **{"data/weights/weight_0": bytes(BIG)}),
    "a bomb of a program": lambda: _compressed(zipfile.ZIP_DEFLATED, **{PROGRAM: b" " * BIG}),
    "a bomb in bzip2": lambda: _compressed(zipfile.ZIP_BZIP2, **{PROGRAM: b" " * BIG}),
    "a bomb in lzma": lambda: _compressed(zipfile.ZIP_LZMA, **{PROGRAM: b" " * (BIG // 10)}),
    "compressed entries": lambda: _compressed(zipfile.ZIP_DEFLATED),
    "ten thousand entries": lambda: packed(entries_of() | {f"extra/{i}": b"" for i in range(10_000)}),
    "an archive in the archive": lambda: _replaced(program=packed(entries_of())),
    "cut behind the first entry": lambda: packed(entries_of())[:500],
    "cut in the directory": lambda: packed(entries_of())[:-100],
    "the directory alone": lambda: packed(entries_of())[-200:],
    "another byte order": lambda: _replaced(byteorder=b"big"),
    "no byte": lambda: b"",
    "no directory": lambda: b"PK\3\4" + bytes(1000),
    "an empty archive": lambda: b"PK\5\6" + bytes(18),
    "brackets without end": lambda: _replaced(program=b"[" * 1_000_000),
    "tables without end": lambda: _replaced(facts=b'{"a":' * 200_000),
    "brackets that close": lambda: _replaced(facts=b"[" * 100_000 + b"]" * 100_000),
    "a number of a million digits": lambda: _replaced(facts=b"9" * 1_000_000),
    "a number that is none": lambda: _replaced(facts=b'{"names": NaN}'),
    "a number beyond all": lambda: _replaced(facts=b'{"names": -Infinity}'),
    "a key twice": lambda: _replaced(facts=b'{"names": [], "names": []}'),
    "another encoding": lambda: _replaced(facts=entries_of()[FACTS].decode().encode("utf-16")),
    "a mark in front": lambda: _replaced(facts=b"\xef\xbb\xbf" + entries_of()[FACTS]),
    "broken UTF-8": lambda: _replaced(facts=b'{"names": ["\xff\xfe"]}'),
    "a list of facts": lambda: _replaced(facts=b"[]"),
    "nothing as facts": lambda: _replaced(facts=b""),
    "nothing as program": lambda: _replaced(program=b"{}"),
    "nothing as weights": lambda: _replaced(weights=b'{"config": {}}'),
    "no program": lambda: _dropped(PROGRAM),
    "no weight": lambda: _dropped("data/weights/weight_0"),
    "no table of weights": lambda: _dropped(WEIGHTS),
    "no table of constants": lambda: _dropped(CONSTANTS),
    "a weight of other length": lambda: _replaced(**{"data/weights/weight_1": b"123"}),
    "a weight of half its length": lambda: _replaced(**{"data/weights/weight_0": b"1234"}),
}
"""Functions that make the archives, by description."""
