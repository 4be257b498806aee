"""Smoothing moves ranges from activations into weights and changes nothing else."""

from __future__ import annotations

import pytest
import torch
from tiny_graphs import calibration_data, fused, observed, outputs_of
from tiny_nets.all_nets import TINY
from torch import Tensor, nn
from torch import fx as torch_fx

import fxpasses as fx
from fxpasses.errors import GraphError, InputError
from fxpasses.graph.pass_runner import pass_logs
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.recipe import repaired
from fxpasses.quantization.repairs.smoothing import smooth

FLOAT_ROUNDING = 2e-5
SOME = ("conv_bn_relu", "residual_block", "masked_attention", "conv_transpose")
ALL = [pytest.param(name, marks=() if name in SOME else pytest.mark.slow) for name in TINY]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("alpha", [0.5, "auto"])
def test_the_graph_computes_what_it_did(name: str, alpha: float | str) -> None:
    data = calibration_data(TINY[name])
    smoothed = smooth(fused(name), data, alpha)
    for inputs in data:
        for found, expected in zip(outputs_of(smoothed, inputs), outputs_of(fused(name), inputs), strict=True):
            scale = max(1.0, float(expected.abs().max())) if expected.is_floating_point() else 1.0
            assert torch.allclose(found, expected, rtol=FLOAT_ROUNDING, atol=FLOAT_ROUNDING * scale)
    result = pass_logs(smoothed)[-1].result
    layers = {n.name for n in fused(name).graph.nodes if _is_layer(fused(name), n)}
    assert layers == {c.node for c in result.changed} | {s.node for s in result.skipped}


def _is_layer(gm: torch_fx.GraphModule, node: torch_fx.Node) -> bool:
    kinds = (nn.Linear, nn.modules.conv._ConvNd)
    return node.op == "call_module" and isinstance(gm.get_submodule(str(node.target)), kinds)


class Outliers(nn.Module):
    """MLP of a transformer; a few of LayerNorm's channels are fifty times as wide as the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.query, self.up, self.down = nn.LayerNorm(16), *(nn.Linear(16, 16) for _ in range(3))
        self.norm.weight.data[:2] = 50.0
        for layer in (self.query, self.up):
            layer.weight.data[:, :2] /= 50.0

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        found: Tensor = x + self.down(nn.functional.gelu(self.up(y) + self.query(y)))
        return found


@pytest.fixture
def outliers() -> tuple[Outliers, Tensor]:
    torch.manual_seed(1)
    return Outliers().eval(), torch.randn(32, 5, 16)


def test_the_formula(outliers: tuple[Outliers, Tensor]) -> None:
    model, x = outliers
    model.query.weight.data = model.up.weight.data  # so that weights relative to their own largest are those of one
    smoothed = smooth(fx.capture(model, x), [x], 0.25)
    read = model.norm(x).abs().amax((0, 1)) ** 0.25 / model.up.weight.abs().amax(0) ** 0.75
    divided = model.norm.weight / smoothed.get_parameter("norm.weight")
    assert torch.allclose(divided / divided.max(), read / read.max(), rtol=1e-5)
    multiplied = smoothed.get_parameter("up.weight") / model.up.weight
    assert torch.allclose(multiplied, divided.expand(16, 16), rtol=1e-5)


@pytest.mark.parametrize("alpha", [0.5, 1.0, "auto"])
def test_outliers_lose_less(outliers: tuple[Outliers, Tensor], alpha: float | str) -> None:
    model, x = outliers

    def noise_db(config: QuantConfig) -> float:
        (found,), (expected,) = outputs_of(fx.quantize(model, x, [x], config), (x,)), outputs_of(model, (x,))
        return float(10 * torch.log10((found - expected).square().sum() / expected.square().sum()))

    without = noise_db(QuantConfig(equalization=False))
    assert noise_db(QuantConfig(equalization=False, smoothing=alpha)) < without - 2


def test_the_log_says_what_and_why_not(outliers: tuple[Outliers, Tensor]) -> None:
    model, x = outliers
    result = pass_logs(smooth(fx.capture(model, x), [x]))[-1].result
    assert {c.node for c in result.changed} == {"up", "query"}
    assert all("16 input channels divided, " in c.what for c in result.changed)
    assert [(s.node, s.why) for s in result.skipped] == [
        ("down", "gelu_1 is computed by no layer whose channels could be divided")
    ]
    first = pass_logs(smooth(fused("conv_bn_relu"), calibration_data(TINY["conv_bn_relu"])))[-1].result
    assert [s.why for s in first.skipped] == ["it reads the model's input"]


def test_layers_that_share_an_input_with_something_else() -> None:
    class Read(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            y = self.a(x)
            found: Tensor = torch.sigmoid(y) * self.b(y)
            return found

    x = torch.randn(4, 4)
    result = pass_logs(smooth(fx.capture(Read().eval(), x), [x]))[-1].result
    assert {s.node: s.why for s in result.skipped}["b"] == "sigmoid_1 needs its input as it is"


def test_no_alpha_makes_even_channels_uneven_by_auto() -> None:
    layer, reader = nn.Linear(4, 4, bias=False), nn.Linear(4, 4)
    layer.weight.data, reader.weight.data = torch.eye(4), torch.full((4, 4), 0.5)
    x = torch.ones(2, 4)
    result = pass_logs(smooth(fx.capture(nn.Sequential(layer, reader).eval(), x), [x], "auto"))[-1].result
    assert {s.node: s.why for s in result.skipped}["_1"] == "its input's channels are as even as they can be"


def test_settings_smooth_before_they_equalize() -> None:
    data = calibration_data(TINY["residual_block"])
    both, _ = repaired(fused("residual_block"), data, QuantConfig(smoothing=0.5))
    assert [log.name for log in pass_logs(both)][-3:] == ["smooth", "equalize", "align_pixels"]
    alone, rest = repaired(
        fused("residual_block"), iter(data), QuantConfig(smoothing=0.5, equalization=False, pixel_grid=False)
    )
    assert pass_logs(alone)[-1].name == "smooth"
    assert len(list(rest)) == len(data)


@pytest.mark.parametrize("alpha", [-0.1, 1.5, "half", True, [0.5]])
def test_what_is_no_alpha(alpha: object) -> None:
    with pytest.raises(InputError, match="alpha is a number from 0"):
        smooth(fused("conv_bn_relu"), [], alpha)  # type: ignore[arg-type]  # as a recipe may spell it
    with pytest.raises(InputError, match=r"use 0\.5, as published, or 'auto'"):
        QuantConfig(smoothing=alpha)  # type: ignore[arg-type]  # as above


def test_no_data() -> None:
    with pytest.raises(InputError, match="it is empty"):
        smooth(fused("conv_bn_relu"), [])


def test_only_float_graphs() -> None:
    with pytest.raises(GraphError, match="OBSERVED"):
        smooth(observed("conv_bn_relu"), calibration_data(TINY["conv_bn_relu"]))
