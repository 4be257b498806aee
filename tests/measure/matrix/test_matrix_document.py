"""``matrix.json`` follows its format, and is read again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from matrix_documents import device_bench, written
from matrix_documents import matrix_document as by_hand
from simulated_machine import SimulatedMachine, measured

from fxpasses.errors import InputError
from fxpasses.measure.matrix.document import About, matrix_document, read_matrix
from fxpasses.measure.matrix.imported import imported_rows


def test_what_is_measured_and_imported_is_written_and_read(tmp_path: Path) -> None:
    matrix = measured(SimulatedMachine(0), {"base": 0.008, "half": 0.004})
    imported = imported_rows(written(tmp_path, device_bench(), device_bench("model.fp32.onnx", 25.0)))
    document = matrix_document(matrix, imported, About("net", "fxpasses bench", ["unreadable"], ["left out"]))
    path = tmp_path / "matrix.json"
    path.write_text(json.dumps(document))
    assert read_matrix(path) == document
    assert [row["verdict"] for row in document["rows"]] == ["baseline", "faster", "faster", "baseline"]
    assert [row["paired"] for row in document["rows"]] == [True, True, False, False]
    assert document["rows"][1]["ratio"] == pytest.approx(2, rel=0.05) and document["rows"][1]["rounds"] == 20


def test_the_one_made_by_hand_is_one(tmp_path: Path) -> None:
    path = tmp_path / "matrix.json"
    path.write_text(json.dumps(by_hand()))
    assert read_matrix(path) == by_hand()


@pytest.mark.parametrize(
    ("changes", "said"), [({"matrix_version": 2}, "matrix_version = 2"), ({"rows": [{}]}, "rows\\[0\\]")]
)
def test_what_is_not_one_is_refused(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    path = tmp_path / "matrix.json"
    path.write_text(json.dumps(by_hand(**changes)))
    with pytest.raises(InputError, match=said):
        read_matrix(path)
