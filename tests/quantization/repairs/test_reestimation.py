"""Re-estimation restores the mean and scale that each layer has in float, or does not change the graph."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from contracts import FIXED_BATCH
from tiny_graphs import calibration_data, fused, outputs_of
from tiny_nets.all_nets import TINY
from torch import Tensor, nn
from torch import fx as torch_fx

import fxpasses as fx
from fxpasses.errors import GraphError, InputError
from fxpasses.graph.pass_runner import pass_logs
from fxpasses.graph.stages import Stage, config_of, stage_of
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.int8.exactness import require_exact
from fxpasses.quantization.repairs.reestimation import PAIRS, reestimate

FEW_BITS = QuantConfig(weight_bits=3, weight_search="mse", observer="minmax")
SOME = ("conv_bn_relu", "residual_block", "conv_transpose")
ALL = [pytest.param(name, marks=() if name in SOME else pytest.mark.slow) for name in TINY if name not in FIXED_BATCH]


class Deep(nn.Module):
    """Convolutions whose rounding to three bits reduces the values after them."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.Conv2d(3, 16, 3, padding=1)]
        for _ in range(4):
            layers.append(nn.Conv2d(16, 16, 3, padding=1))
        self.layers, self.head = nn.ModuleList(layers), nn.Conv2d(16, 4, 1)
        for layer in layers:
            layer.weight.data *= 2.4  # so that signals are not lost among biases

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.relu(layer(x))
        found: Tensor = self.head(x)
        return found


def calibrated(config: QuantConfig = FEW_BITS) -> tuple[torch_fx.GraphModule, Tensor]:
    torch.manual_seed(3)
    x = torch.randn(48, 3, 12, 12)
    graph = fx.observe(fx.fuse(fx.capture(Deep().eval(), x[:2])), config)
    fx.calibrate(graph, [x])
    return graph, x


def sqnr_db(graph: nn.Module, x: Tensor) -> float:
    torch.manual_seed(3)
    torch.randn(48, 3, 12, 12)
    (found,), (expected,) = outputs_of(graph, (x,)), outputs_of(Deep().eval(), (x,))
    return float(10 * torch.log10(expected.square().sum() / (found - expected).square().sum()))


def test_outputs_come_nearer() -> None:
    graph, x = calibrated(replace(FEW_BITS, weight_bits=2, bias_correction=False))
    before, after = fx.convert(graph), reestimate(graph, [x])
    unseen = torch.randn(64, 3, 12, 12, generator=torch.Generator().manual_seed(5))
    assert sqnr_db(after, unseen) > sqnr_db(before, unseen) + 1


def test_the_log_tells_each_layer() -> None:
    graph, x = calibrated()
    after = reestimate(graph, [x])
    log = pass_logs(after)[-1]
    assert log.name == "reestimate"
    assert [c.node for c in log.result.changed] == [*(f"layers_{k}" for k in range(5)), "head"]
    assert all("scales times" in c.what and "dB before" in c.what for c in log.result.changed)
    few = pass_logs(reestimate(graph, [x[:3]]))[-1].result
    assert {s.why for s in few.skipped} == {"144 values per channel are too few"}
    assert PAIRS > 144


def test_the_scales_stay_free_of_ties() -> None:
    graph, x = calibrated(QuantConfig(weight_bits=4, weight_search="mse", observer="minmax", exact=True))
    require_exact(reestimate(graph, [x]))


def test_what_comes_no_nearer_is_left() -> None:
    class Twice(nn.Module):
        """A convolution on integers that 8 bits hold exactly."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 1)
            self.conv.weight.data.fill_(127.0)
            self.conv.bias = nn.Parameter(torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.conv(x)
            return found

    x = torch.randint(0, 256, (32, 1, 20, 20)).float()
    x[0, 0, 0, :2] = torch.tensor([0.0, 255.0])
    graph = fx.observe(fx.capture(Twice().eval(), x[:2]), QuantConfig(observer="minmax", tie_free=False))
    fx.calibrate(graph, [x])
    plain, after = fx.convert(graph), reestimate(graph, [x])
    assert "come no nearer to float" in pass_logs(after)[-1].result.skipped[0].why
    assert all(torch.equal(v, after.state_dict()[k]) for k, v in plain.state_dict().items())
    assert not config_of(after).reestimation


def test_settings_ask_for_it() -> None:
    torch.manual_seed(3)
    x = torch.randn(48, 3, 12, 12)
    config = QuantConfig(weight_bits=3, weight_search="mse", reestimation=True)
    int8 = fx.quantize(Deep().eval(), x[:2], (b for b in x.split(16)), config)
    assert pass_logs(int8)[-1].name == "reestimate"
    assert config_of(int8).reestimation
    assert stage_of(int8) is Stage.QUANTIZED


@pytest.mark.parametrize("name", ALL)
def test_every_net_goes_through(name: str) -> None:
    data = calibration_data(TINY[name])
    graph = fx.observe(fused(name), FEW_BITS)
    fx.calibrate(graph, data)
    after = reestimate(graph, data)
    for found, expected in zip(outputs_of(after, data[0]), outputs_of(fused(name), data[0]), strict=True):
        assert found.shape == expected.shape
        assert bool(torch.isfinite(found).all()) or not bool(torch.isfinite(expected).all())


def test_not_with_learned_rounding() -> None:
    with pytest.raises(InputError, match="learned rounding chooses biases for the rounding it finds"):
        QuantConfig(reestimation=True, rounding="learned")


def test_only_observed_graphs() -> None:
    with pytest.raises(GraphError, match="reestimate"):
        reestimate(fused("conv_bn_relu"), calibration_data(TINY["conv_bn_relu"]))


def test_no_data() -> None:
    graph, _ = calibrated()
    with pytest.raises(InputError, match="it is empty"):
        reestimate(graph, [])
