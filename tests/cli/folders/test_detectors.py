"""Whole detectors at the command line: quantized by their layers, measured by their own boxes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from cli_runs import fxpasses
from detector_nets import net

from fxpasses.cli.folders.detectors import is_detector, layers_in, refuse_detectors, refuse_training, with_layers_alone
from fxpasses.errors import InputError
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.model_input import IMAGENET

EXAMPLES = Path(__file__).resolve().parents[3] / "docs" / "examples"


def loaded(module: torch.nn.Module) -> LoadedModel:
    return LoadedModel("m", module, (3, 64, 64), IMAGENET, True)


def test_a_detector_becomes_its_layers() -> None:
    found = with_layers_alone(loaded(net("SSD")))
    layers = layers_in(found)
    assert layers is not None and layers.kind.value == "SSD" and found.input_shape == (3, 64, 96)
    assert found.preprocessing.mean == (0.485, 0.456, 0.406)


def test_any_other_model_stays_as_it_is() -> None:
    given = loaded(torch.nn.Linear(2, 2))
    assert with_layers_alone(given) is given and layers_in(given) is None and not is_detector(given.module)


def test_a_backbone_of_the_same_package_is_no_detector() -> None:
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

    given = loaded(resnet_fpn_backbone(backbone_name="resnet18", weights=None).eval())
    assert not is_detector(given.module) and with_layers_alone(given) is given


def test_training_is_refused_with_the_way_to_train() -> None:
    refuse_detectors(loaded(torch.nn.Linear(2, 2)), "m")
    with pytest.raises(InputError, match=r"cannot train m, a whole detector.*\n.*\n.*docs/examples/detectors.py"):
        refuse_detectors(loaded(net("SSD")), "m")


@pytest.mark.parametrize("option", ["--fine-tune", "--qat"])
def test_options_that_train_are_refused(option: str) -> None:
    refuse_training(loaded(torch.nn.Linear(2, 2)), option)
    with pytest.raises(InputError, match=rf"{option} with a whole detector\n.*losses on boxes.*\n.*leave {option} out"):
        refuse_training(with_layers_alone(loaded(net("SSD"))), option)


@pytest.mark.slow
def test_quantize_measures_boxes(tmp_path: Path) -> None:
    """docs/examples: trained for a few epochs, in both runtimes near float, with the whole detector beside."""
    import importlib.util
    import sys

    made = {}
    for name in ("shapes", "detectors"):
        spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
        assert spec is not None and spec.loader is not None
        made[name] = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = made[name]
        spec.loader.exec_module(made[name])
    made["shapes"].write(tmp_path / "shapes")
    model = made["detectors"].fit(made["detectors"].shapes(tmp_path / "shapes"), epochs=6)
    torch.save(model.state_dict(), tmp_path / "ssd.pt")
    asked = (
        f"{EXAMPLES / 'detectors.py'}:ssd",
        "--weights",
        tmp_path / "ssd.pt",
        "--data",
        f"coco={tmp_path / 'shapes'}",
    )
    more = ("--metric", "map", "--calib", "64", "--no-bench", "--threads", "1", "--out", tmp_path / "out")
    done = fxpasses("quantize", *map(str, asked), *map(str, more))
    assert done.code == 0, done.err
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    found = {v["name"]: v["accuracy"]["metric"]["value"] for v in report["variants"]}
    assert found["torch fp32"] > 20
    assert all(abs(found["torch fp32"] - value) < 2 for value in found.values())
    assert report["deploy"] == "detector.int8.onnx" and (tmp_path / "out" / report["deploy"]).is_file()
    assert "mAP of all" not in done.out and "vocabulary" not in done.out
