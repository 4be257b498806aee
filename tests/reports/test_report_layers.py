"""Report entries of a QUANTIZED graph's operators: those in int8 with their grid, those in float with the reason."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.quantization.config import Override
from fxpasses.reports.layers import graph_account, layers


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.LayerNorm(6)
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc(self.norm(torch.relu(self.conv(x))))
        return y


@pytest.fixture(scope="module")
def int8() -> fx.GraphModule:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 8, 8)
    return fxpasses.quantize(Net().eval(), x, [x])


def test_layers_are_known_by_the_users_names(int8: fx.GraphModule) -> None:
    found = {layer["module"]: layer for layer in layers(int8) if layer["module"]}
    assert set(found) == {"conv", "norm", "fc"}
    conv = found["conv"]
    assert (conv["operator"], conv["precision"], conv["why"]) == ("conv2d", "int8", None)
    assert (conv["shape"], conv["weights"]) == ([4, 6, 6], 4 * 3 * 9)
    assert conv["scale"] > 0
    assert conv["zero_point"] == 0, "the ReLU is part of the convolution's grid"


def test_what_stays_float_says_why(int8: fx.GraphModule) -> None:
    floats = [layer for layer in layers(int8) if layer["precision"] == "float"]
    assert [layer["operator"] for layer in floats] == ["layer_norm"]
    assert "no int8 kernel" in floats[0]["why"]
    assert floats[0]["weights"] == 6


def test_entrances_are_listed_and_nodes_are_those_of_parity(int8: fx.GraphModule) -> None:
    quantized = [n.name for n in int8.graph.nodes if str(n.target) == "fxpasses.quantize.default"]
    found = [layer for layer in layers(int8) if layer["precision"] == "int8"]
    *between, last = found
    assert [layer["node"] for layer in between] == quantized
    assert (last["module"], last["scale"], last["weights"]) == ("fc", None, 30), "its result is float"
    assert found[0]["operator"] == "quantize"


def test_the_account_is_json_with_recipe_and_passes(int8: fx.GraphModule) -> None:
    account = json.loads(json.dumps(graph_account(int8)))
    assert account["recipe"]["target"] == "x86"
    assert len(account["qparams_sha256"]) == 64
    assert "convert" in [log["name"] for log in account["passes"]]
    assert any("norm" in skip["node"] for log in account["passes"] for skip in log["skipped"])


@pytest.mark.parametrize("name", ["conv", "fc"])
def test_an_override_is_a_reason(name: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 8, 8)
    config = fxpasses.QuantConfig(overrides=(Override(name, keep_float=True),))
    found = {layer["module"]: layer for layer in layers(fxpasses.quantize(Net().eval(), x, [x], config))}
    assert found[name]["precision"] == "float"
    assert found[name]["why"] == "kept in float by an override"


class SizesAndUnknown(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        rows = y.flatten(2)
        return torch.sinc(rows).reshape(y.shape[0], 4, y.shape[2], y.shape[3])


def test_sizes_are_no_operators_and_an_unknown_one_is_told_in_plain_words() -> None:
    x = torch.randn(2, 3, 8, 8)
    found = layers(fxpasses.quantize(SizesAndUnknown().eval(), x, [x]))
    assert "slice" not in {layer["operator"] for layer in found}
    (sinc,) = (layer for layer in found if layer["operator"] == "sinc")
    assert sinc["why"] == "fxpasses has no integer form of it: it runs as it is, in float"
    assert not [layer for layer in found if "vocabulary" in (layer["why"] or "")]
