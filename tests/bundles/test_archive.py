"""The zip is deterministic, and is unpacked only if its content is as it says."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from bundle_folders import bundle

from fxpasses.bundles import read_about, unpack_bundle
from fxpasses.bundles.archive import write_archive
from fxpasses.errors import InputError

Change = Callable[[zipfile.ZipInfo, bytes], list[tuple[zipfile.ZipInfo, bytes]]]


def altered(to: Path, name: str, change: Change) -> Path:
    """A copy of the bundle in which one entry is replaced."""
    with zipfile.ZipFile(bundle()) as source, zipfile.ZipFile(to, "w") as target:
        for entry in source.infolist():
            kept = [(entry, source.read(entry))]
            for info, content in change(*kept[0]) if entry.filename == name else kept:
                target.writestr(info, content)
    return to


def renamed(name: str) -> Change:
    return lambda entry, content: [(zipfile.ZipInfo(name), content)]


def linked(entry: zipfile.ZipInfo, content: bytes) -> list[tuple[zipfile.ZipInfo, bytes]]:
    info = zipfile.ZipInfo(entry.filename)
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return [(info, b"/etc/passwd")]


def test_it_is_unpacked(tmp_path: Path) -> None:
    about = unpack_bundle(bundle(), tmp_path / "app")
    assert about.model == "tiny_images" and about.target == "arm" and about.classes == 4
    assert os.access(tmp_path / "app" / "run.py", os.X_OK)
    assert read_about(tmp_path / "app") == about
    write_archive(tmp_path / "app", tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == bundle().read_bytes()


def test_one_date_and_plain_names() -> None:
    with zipfile.ZipFile(bundle()) as archive:
        entries = archive.infolist()
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert [e.filename for e in entries] == sorted(e.filename for e in entries)
    assert not any("/" in entry.filename for entry in entries)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (renamed("../run.py"), "a bundle has no file of that name"),
        (renamed("/tmp/run.py"), "a bundle has no file of that name"),
        (renamed("sub/run.py"), "a bundle has no file of that name"),
        (renamed("sitecustomize.py"), "a bundle has no file of that name"),
        (linked, "it is no plain file"),
        (lambda entry, content: [(entry, content + b"\nimport os")], "its content is not what was bundled"),
        (lambda entry, content: [], "it is missing"),
    ],
    ids=["parent", "absolute", "folder", "unknown", "link", "changed", "missing"],
)
def test_what_is_no_bundle_is_not_unpacked(change: Change, why: str, tmp_path: Path) -> None:
    path = altered(tmp_path / "odd.zip", "run.py", change)
    with pytest.raises(InputError, match=why):
        unpack_bundle(path, tmp_path / "app")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["odd.zip"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_entry_twice(tmp_path: Path) -> None:
    path = altered(tmp_path / "odd.zip", "run.py", lambda entry, content: [(entry, content), (entry, b"")])
    with pytest.raises(InputError, match="it is there twice"):
        unpack_bundle(path, tmp_path / "app")


@pytest.mark.parametrize("keep", [0, 100, 5000, -30])
def test_a_torn_zip(keep: int, tmp_path: Path) -> None:
    (tmp_path / "torn.zip").write_bytes(bundle().read_bytes()[:keep])
    with pytest.raises(InputError, match="cannot read the bundle"):
        unpack_bundle(tmp_path / "torn.zip", tmp_path / "app")


def test_it_cannot_be_written(tmp_path: Path) -> None:
    unpack_bundle(bundle(), tmp_path / "app")
    (tmp_path / "app.zip").mkdir()
    (tmp_path / "file").touch()
    for out, why in (
        ("app.zip", "a folder of that name is in the way"),
        ("file/a.zip", "a part of the path is a file"),
    ):
        with pytest.raises(InputError, match=why):
            write_archive(tmp_path / "app", tmp_path / out)


def test_no_zip(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no bundle"):
        unpack_bundle(tmp_path / "absent.zip", tmp_path / "app")


def test_a_bundle_that_names_other_files(tmp_path: Path) -> None:
    unpack_bundle(bundle(), tmp_path)
    about = json.loads((tmp_path / "bundle.json").read_text())
    about["files"]["../secret"] = about["files"]["run.py"]
    (tmp_path / "bundle.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match=r"\.\./secret"):
        read_about(tmp_path)
