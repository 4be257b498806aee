"""``fx.export.audit`` takes a file or a folder, as text or path, and its result prints in a line."""

from __future__ import annotations

import json
from pathlib import Path

from call_folders import int8_folder

import fxpasses as fx


def test_a_folder_and_its_int8_file_are_one(tmp_path: Path) -> None:
    folder = int8_folder(tmp_path)
    report = fx.export.audit(str(folder))
    assert report == fx.export.audit(folder / "model.int8.onnx")
    assert repr(report).startswith(f"AuditReport({folder / 'model.int8.onnx'}: int8 throughout: ")
    assert json.loads(json.dumps(report.to_json()))["ok"] is True
