"""Written weights are read again unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from fxpasses.errors import InputError
from fxpasses.models.weights.files import SUFFIXES, check_weight_file, weights_as_bytes
from fxpasses.models.weights.load import read_checkpoint


@pytest.mark.parametrize("ending", SUFFIXES)
def test_every_kind_of_file_comes_back(tmp_path: Path, ending: str) -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    path = tmp_path / f"weights{ending}"
    check_weight_file(path)
    path.write_bytes(weights_as_bytes(net, ending))
    state = read_checkpoint(path)
    assert isinstance(state, dict)
    assert state.keys() == net.state_dict().keys()
    assert all(torch.equal(state[name], value) for name, value in net.state_dict().items())


def test_other_kinds_are_refused() -> None:
    with pytest.raises(InputError, match=r"(?s)cannot write weights to w.h5.*'.h5'.*safetensors"):
        check_weight_file(Path("w.h5"))
