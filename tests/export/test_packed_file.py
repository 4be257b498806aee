"""Packed files: the same graph again, a 25th of the float file, and strangers' files refused."""

from __future__ import annotations

import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from binary_nets import made

from fxpasses.errors import InputError
from fxpasses.export import load, save
from fxpasses.export.packed_file import MANIFEST, load_packed, packed_archive, save_packed, unpacked_archive


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_packed(made("binaryconnect").int8, tmp_path_factory.mktemp("packed") / "net.fxbits")


def test_the_same_graph_comes_back(packed: Path) -> None:
    found = made("binaryconnect")
    again = load_packed(packed)
    assert torch.equal(again(found.inputs), found.int8(found.inputs))
    ours, theirs = dict(found.int8.named_buffers()), dict(again.named_buffers())
    weights = [name for name in ours if name.endswith("_int8.weight")]
    assert len(weights) == 4 and all(torch.equal(ours[name], theirs[name]) for name in weights)


@pytest.mark.parametrize("method", ["twn", "xnor"])
def test_every_entry_comes_back(method: str, tmp_path: Path) -> None:
    plain = save(made(method).int8, tmp_path / "net.pt2").read_bytes()
    again = unpacked_archive(packed_archive(plain))
    with zipfile.ZipFile(io.BytesIO(plain)) as a, zipfile.ZipFile(io.BytesIO(again)) as b:
        assert a.namelist() == b.namelist() and all(a.read(name) == b.read(name) for name in a.namelist())
    (tmp_path / "again.pt2").write_bytes(again)
    assert load(tmp_path / "again.pt2").graph is not None


def test_one_bit_a_weight(packed: Path, tmp_path: Path) -> None:
    with opened(packed) as archive:
        manifest = json.loads(archive.read(MANIFEST))["packed"]
        sizes = {manifest[name][1]: archive.getinfo(name).file_size for name in manifest}
    assert sizes[28 * 28 * 32] == 28 * 28 * 32 / 8
    assert packed.read_bytes() == save_packed(made("binaryconnect").int8, tmp_path / "again.fxbits").read_bytes()


def rewritten(source: Path, change: Callable[[dict[str, bytes]], object], target: Path) -> Path:
    with opened(source) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    target.write_bytes(lzma.compress(inner.getvalue()))
    return target


def opened(packed: Path) -> zipfile.ZipFile:
    """Content of a packed file."""
    return zipfile.ZipFile(io.BytesIO(lzma.decompress(packed.read_bytes())))


def first_packed(entries: dict[str, bytes]) -> str:
    return str(next(iter(json.loads(entries[MANIFEST])["packed"])))


def with_manifest(change: Callable[[dict[str, object]], None]) -> Callable[[dict[str, bytes]], None]:
    def changed(entries: dict[str, bytes]) -> None:
        document = json.loads(entries[MANIFEST])
        change(document)
        entries[MANIFEST] = json.dumps(document).encode()

    return changed


ATTACKS: dict[str, tuple[Callable[[dict[str, bytes]], object], str]] = {
    "no manifest": (lambda e: e.pop(MANIFEST), "it is no packed graph"),
    "not JSON": (lambda e: e.update({MANIFEST: b"{"}), "is no JSON"),
    "another version": (with_manifest(lambda d: d.update(format=2)), "it is of another version"),
    "another packing": (with_manifest(lambda d: d.update(packed={"x": ["zip", 3]})), "packed in no way"),
    "a long tensor": (with_manifest(lambda d: d.update(packed={"x": ["sign", 10**12]})), "a length is not between"),
    "an entry that is not there": (with_manifest(lambda d: d.update(packed={"x": ["sign", 64]})), "there is no x"),
    "a short entry": (lambda e: e.update({first_packed(e): b"\0"}), "is not as long as"),
    "a bomb": (lambda e: e.update(bomb=b"\0" * 40_000_000), "times as large as the file"),
    "a pickle": (lambda e: e.update({"model/data/constants/custom_obj_0": b"x"}), "pickled object"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_strangers_files(name: str, packed: Path, tmp_path: Path) -> None:
    change, why = ATTACKS[name]
    with pytest.raises(InputError, match=why):
        load_packed(rewritten(packed, change, tmp_path / "bad.fxbits"))


def test_digits_that_are_none(tmp_path: Path) -> None:
    good = save_packed(made("twn").int8, tmp_path / "net.fxbits")

    def change(entries: dict[str, bytes]) -> None:
        table = json.loads(entries[MANIFEST])["packed"]
        name = next(n for n in table if table[n][0] == "ternary")
        entries[name] = b"\xff" * len(entries[name])

    with pytest.raises(InputError, match="no five ternary digits"):
        load_packed(rewritten(good, change, tmp_path / "bad.fxbits"))


def test_files_that_are_no_archives(packed: Path, tmp_path: Path) -> None:
    whole, bad = packed.read_bytes(), tmp_path / "bad.fxbits"
    for content, why in (
        (whole[:1000], "does not end where its content does"),
        (whole + b"more", "does not end where its content does"),
        (b"no stream" * 9, "it is no packed graph, or damaged"),
        (whole[:500] + bytes(20) + whole[520:], "damaged"),
        (lzma.compress(b"no archive"), "it is no packed graph, or damaged"),
    ):
        bad.write_bytes(content)
        with pytest.raises(InputError, match=why):
            load_packed(bad)
    with pytest.raises(InputError, match="no such file"):
        load_packed(tmp_path / "missing.fxbits")
    with pytest.raises(InputError, match=r"a packed graph is a \.fxbits file"):
        save_packed(made("twn").int8, tmp_path / "net.pt2")
