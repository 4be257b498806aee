"""Cases of errors from bundles: a call that fails, a part of its remedy, and the call with the remedy applied."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import onnx
from bundle_folders import IMAGE, bundle, copied, folder
from remedy_subjects import Case

from fxpasses.bundles import read_about, source_folder, unpack_bundle
from fxpasses.bundles.class_names import class_names
from fxpasses.bundles.device_target import device_target
from fxpasses.bundles.image.image_graph import image_graph
from fxpasses.bundles.ort_format import convert_to_ort
from fxpasses.bundles.source_folder import read_source
from fxpasses.cli.options.bundle import BundleOptions, Layout

DIGITS = {"data_details": {"spec": "digits", "labels": None}}


def _whole(place: Path) -> Any:
    return unpack_bundle(bundle(), place / "app")


def _file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _with_a_stranger(path: Path) -> Path:
    shutil.copyfile(bundle(), path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../stranger.py", "")
    return path


def _without_program(place: Path) -> Any:
    _whole(place)
    (place / "app" / "run.py").unlink()
    return read_about(place / "app")


def _old() -> onnx.ModelProto:
    model = onnx.load(folder() / "model.int8.onnx")
    model.opset_import[0].version = 17
    return model


def _converted(place: Path, content: bytes) -> None:
    (place / "models").mkdir(exist_ok=True)
    (place / "models" / "model.int8.onnx").write_bytes(content)
    convert_to_ort(place / "models", "arm")


def _without(place: Path, name: str) -> Any:
    (copied(place / "folder") / name).unlink()
    return read_source(place / "folder")


def _dynamic(place: Path) -> Any:
    report = copied(place / "folder") / "report.json"
    report.write_text(json.dumps(json.loads(report.read_text()) | {"method": "dynamic"}))
    return read_source(place / "folder")


def _of_two(place: Path) -> Any:
    copied(place / "folder")
    shutil.copyfile(place / "folder" / "model.fp32.onnx", place / "folder" / "model.int8.onnx")
    return read_source(place / "folder")


def _too_large() -> Any:
    with patch.object(source_folder, "LARGEST_MODEL", 1):
        return read_source(folder())


_SOURCE = "fxpasses/bundles/source_folder.py"
_ARCHIVE = "fxpasses/bundles/archive.py"
BUNDLE_CASES: dict[str, Case] = {
    f"{_ARCHIVE}:unpack_bundle": (
        lambda place: unpack_bundle(place / "absent.zip", place / "app"),
        "name a .zip that fxpasses bundle wrote",
        _whole,
    ),
    f"{_ARCHIVE}:unpack_bundle#2": (
        lambda place: unpack_bundle(_file(place / "torn.zip", b"PK"), place / "app"),
        "copy it again",
        _whole,
    ),
    f"{_ARCHIVE}:_extract": (
        lambda place: unpack_bundle(_with_a_stranger(place / "odd.zip"), place / "app"),
        "make it again with fxpasses bundle",
        _whole,
    ),
    f"{_ARCHIVE}:read_about": (_without_program, "copy it again", _whole),
    "fxpasses/bundles/class_names.py:class_names": (
        lambda place: class_names(DIGITS, 10, _file(place / "labels.json", b'["cat"]')),
        "leave `labels` out",
        lambda place: class_names(DIGITS, 10),
    ),
    "fxpasses/cli/options/bundle.py:refuse_what_zips_have": (
        lambda place: BundleOptions(out=place, layout=Layout.triton, resize=True).refuse_what_zips_have(),
        "leave it out",
        lambda place: BundleOptions(out=place, layout=Layout.triton).refuse_what_zips_have(),
    ),
    "fxpasses/bundles/device_target.py:device_target": (
        lambda place: device_target("cuda", "x86"),
        'quantize again with `target="cuda"`, or leave `target` out',
        lambda place: (device_target("cuda", "cuda"), device_target("auto", "x86")),
    ),
    "fxpasses/bundles/image/image_graph.py:image_graph": (
        lambda place: image_graph(_old(), replace(IMAGE, any_size=True)),
        "leave `resize` out",
        lambda place: image_graph(_old(), IMAGE),
    ),
    "fxpasses/bundles/ort_format.py:convert_to_ort": (
        lambda place: _converted(place, b"no model"),
        "make the ONNX file again",
        lambda place: _converted(place, (folder() / "model.int8.onnx").read_bytes()),
    ),
    f"{_SOURCE}:read_source": (
        lambda place: read_source(place / "absent"),
        "name a folder that fxpasses quantize wrote",
        lambda place: read_source(folder()),
    ),
    f"{_SOURCE}:read_source#2": (
        lambda place: _without(place, "integers.npz"),
        "make the folder again",
        lambda place: read_source(folder()),
    ),
    f"{_SOURCE}:read_source#3": (_dynamic, "quantize with `method=", lambda place: read_source(folder())),
    f"{_SOURCE}:read_source#4": (_of_two, "make the folder again", lambda place: read_source(folder())),
    f"{_SOURCE}:_one_piece": (lambda place: _too_large(), "use a smaller model", lambda place: read_source(folder())),
}
