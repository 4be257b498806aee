"""A bundle as a whole: its content, the same bytes each time, and names and licence if they are given."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from bundle_folders import bundle, copied, folder

from fxpasses.bundles import BundleSettings, contents, unpack_bundle, write_bundle
from fxpasses.bundles.write_bundle import without_folder
from fxpasses.errors import InputError


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unpacked bundle, with names and a licence."""
    place = tmp_path_factory.mktemp("named")
    unpack_bundle(bundle(), place)
    return place


def test_every_file_is_there(named: Path) -> None:
    assert sorted(path.name for path in named.iterdir()) == sorted(contents.ALL)
    about = json.loads((named / contents.ABOUT).read_text())
    assert set(about["files"]) == set(contents.ALL) - {contents.ABOUT}
    assert about["target"] == "arm" and about["made_for"] == "x86-avx2" and about["license"] == "CC0-1.0"
    assert about["data"] == "images=photos" and about["image"]["any_size"] is False
    assert about["inputs"] == [{"name": "x", "dtype": "float", "shape": ["batch", 3, 9, 7]}]


def test_names_are_in_every_file_that_tells_them(named: Path) -> None:
    names = {"0": "cat", "1": "dog", "2": "crane", "3": "crane"}
    assert json.loads((named / contents.NAMES).read_text()) == names
    assert json.loads((named / contents.HF_CONFIG).read_text())["id2label"]["3"] == "crane (3)"
    for name in (contents.INT8_ONNX, contents.FLOAT_ONNX, contents.IMAGE_ONNX):
        told = {entry.key: entry.value for entry in onnx.load(named / name).metadata_props}
        assert json.loads(told["names"]) == names and told["model_license"] == "CC0-1.0"


def test_the_vector_is_of_the_stored_images(named: Path) -> None:
    with np.load(named / contents.EXPECTED, allow_pickle=False) as file:
        assert sorted(file.files) == ["input_0", "lsb", "output_0", "pixels_0"]
        assert file["pixels_0"].shape == (4, 9, 7, 3) and file["pixels_0"].dtype == np.uint8
        assert file["output_0"].shape == (4, 4) and file["lsb"][0] > 0


@pytest.mark.slow
def test_the_same_bytes_again(tmp_path: Path) -> None:
    """A bundle made in another folder is equal: it holds no path and no date of this machine."""
    for name in ("one", "two"):
        write_bundle(copied(tmp_path / name), tmp_path / f"{name}.zip", BundleSettings(resize=True))
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    about = unpack_bundle(tmp_path / "one.zip", tmp_path / "app")
    assert about.image is not None and about.image.any_size and contents.NAMES not in about.files
    assert "Licence | not said" in (tmp_path / "app" / contents.CARD).read_text()


@pytest.mark.slow
def test_inputs_that_are_no_images(tmp_path: Path) -> None:
    """There is no image graph if the stored inputs were not made by the report's mean and std."""
    place = copied(tmp_path / "folder")
    report = json.loads((place / "report.json").read_text())
    report["model_details"]["preprocessing"] = {"mean": [0.5], "std": [0.3]}
    (place / "report.json").write_text(json.dumps(report))
    made = write_bundle(place, tmp_path / "app.zip")
    assert made.about["image"] is None and "no images made by" in made.about["why_no_image"]
    assert not {contents.IMAGE_ONNX, contents.IMAGE_ORT, contents.HF_PREPROCESSOR} & set(made.about["files"])
    assert made.self_test.passed and "image" not in made.self_test.said


def test_a_target_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="quantized for x86-avx2"):
        write_bundle(folder(), tmp_path / "app.zip", BundleSettings("cuda"))
    assert list(tmp_path.iterdir()) == []


def test_no_folders_of_this_machine() -> None:
    told = [
        without_folder(spec) for spec in ("torchvision/resnet18", "images=/home/me/photos", "digits", "/a/b.py:net")
    ]
    assert told == ["resnet18", "images=photos", "digits", "b.py:net"]
