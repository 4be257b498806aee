"""Weights of detectors from before torchvision renamed layers of heads and pyramids load, wherever they are stored."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from detector_nets import faster_rcnn, retinanet
from torch import Tensor, nn

from fxpasses.errors import InputError
from fxpasses.models.weights.load import load_weights

_OLD = (
    (re.compile(r"((?:classification|regression)_head\.conv)\.(\d)\.0\."), lambda m: f"{m[1]}.{2 * int(m[2])}."),
    (re.compile(r"((?:inner|layer)_blocks\.\d+)\.0\."), r"\1."),
    (re.compile(r"rpn\.head\.conv\.0\.0\."), "rpn.head.conv."),
)
"""Names of today, and what they were in weights of version 1."""


class Pyramid(nn.Module):
    """A backbone with torchvision's feature pyramid."""

    def __init__(self) -> None:
        from torchvision.ops import FeaturePyramidNetwork

        super().__init__()
        self.body = nn.Conv2d(3, 4, 3)
        self.fpn = FeaturePyramidNetwork([4, 4], 8)


def with_pyramid(make: Callable[[], Any]) -> Callable[[], nn.Module]:
    def made() -> nn.Module:
        model: Any = make()
        model.backbone = Pyramid()
        found: nn.Module = model.eval()
        return found

    return made


NETS = {"RetinaNet": with_pyramid(retinanet), "Faster R-CNN": with_pyramid(faster_rcnn)}


def older(state: dict[str, Tensor]) -> OrderedDict[str, Tensor]:
    """The same tensors by their names of version 1."""
    found: OrderedDict[str, Tensor] = OrderedDict()
    for name, value in state.items():
        for pattern, old in _OLD:
            name = pattern.sub(old, name)
        found[name] = value
    return found


STORED: dict[str, Callable[[OrderedDict[str, Tensor]], object]] = {
    "as they are": lambda state: state,
    "under a key": lambda state: {"model": state, "epoch": 3},
    "with a prefix": lambda state: OrderedDict((f"module.{name}", value) for name, value in state.items()),
}


@pytest.mark.filterwarnings("ignore:.*the weights are those")
@pytest.mark.parametrize("where", STORED)
@pytest.mark.parametrize("name", NETS)
def test_names_of_version_1_are_taken(name: str, where: str, tmp_path: Path) -> None:
    given, model = NETS[name](), NETS[name]()
    state = older(given.state_dict())
    assert len(state.keys() - given.state_dict().keys()) >= 10
    torch.save(STORED[where](state), tmp_path / "old.pt")
    load_weights(model, tmp_path / "old.pt")
    assert all(torch.equal(value, given.state_dict()[key]) for key, value in model.state_dict().items())


def test_safetensors_hold_no_versions(tmp_path: Path) -> None:
    given, model = NETS["RetinaNet"](), NETS["RetinaNet"]()
    for name, state in (("old", older(given.state_dict())), ("new", given.state_dict())):
        safetensors.torch.save_file(dict(state), tmp_path / f"{name}.safetensors")
        load_weights(model, tmp_path / f"{name}.safetensors")
        assert all(torch.equal(value, given.state_dict()[key]) for key, value in model.state_dict().items())


def test_old_names_in_a_file_of_version_2_are_refused_by_name(tmp_path: Path) -> None:
    given = NETS["RetinaNet"]()
    state: Any = older(given.state_dict())
    state._metadata = given.state_dict()._metadata  # type: ignore[attr-defined]  # where torch keeps versions
    torch.save(state, tmp_path / "mixed.pt")
    with pytest.raises(InputError, match=r"are missing from the file: .*unknown to the model: "):
        load_weights(NETS["RetinaNet"](), tmp_path / "mixed.pt")
