"""Names of classes: from the data set, a labels file, or none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fxpasses.bundles.class_names import class_names, distinct
from fxpasses.errors import InputError


def of(spec: str, labels: str | None = None) -> dict[str, Any]:
    return {"data_details": {"spec": spec, "labels": labels}}


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    file = tmp_path / "labels.json"
    file.write_text(json.dumps({"classes": [["n1", "crane"], ["n2", "ship", "boat"], "n3"]}))
    return file


def test_published_names() -> None:
    assert (class_names(of("cifar10=DIR"), 10) or [])[8] == "ship"
    assert class_names(of("digits"), 10) == list("0123456789")
    assert class_names(of("sst2=DIR"), 2) == ["negative", "positive"]


def test_names_of_another_number_of_classes_are_not_used() -> None:
    assert class_names(of("cifar10=DIR"), 100) is None and class_names(of("cifar10=DIR"), None) is None
    assert class_names(of("random=3x8x8"), 4) is None and class_names({}, 4) is None


def test_a_labels_file(labels: Path) -> None:
    names = ["crane", "ship", "n3"]
    assert class_names(of("images=elsewhere"), 3, labels) == names
    assert class_names(of("images=elsewhere", str(labels)), 3) == names
    assert class_names(of(f"images={labels.parent}"), 3) == names
    assert class_names(of("images=elsewhere", "gone.json"), 3) is None


def test_a_labels_file_of_another_model(labels: Path) -> None:
    with pytest.raises(InputError, match=r"names 3 classes\n  why: the model gives 4"):
        class_names(of("digits"), 4, labels)
    with pytest.raises(InputError, match="the model gives no classes"):
        class_names(of("digits"), None, labels)


def test_no_labels_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the labels"):
        class_names(of("digits"), 4, tmp_path / "absent.json")


def test_names_are_made_distinct() -> None:
    assert distinct(["crane", "ship", "crane"]) == ["crane", "ship", "crane (2)"]
