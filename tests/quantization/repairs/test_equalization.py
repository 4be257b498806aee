"""Equalization changes scales of channels and nothing else."""

from __future__ import annotations

import pytest
import torch
from tiny_graphs import calibration_data, captured, fused, observed, outputs_of
from tiny_nets.all_nets import TINY
from tiny_nets.share import each_net
from torch import Tensor, nn

import fxpasses as fx
from fxpasses.errors import GraphError, InputError
from fxpasses.graph.pass_runner import pass_logs
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.recipe import repaired
from fxpasses.quantization.repairs.channel_rescaling import SAMPLES
from fxpasses.quantization.repairs.equalization import equalize

FLOAT_ROUNDING = 2e-5


@pytest.mark.parametrize("name", each_net(TINY))
def test_the_graph_computes_what_it_did(name: str) -> None:
    data = calibration_data(TINY[name])
    even = equalize(fused(name), data)
    for inputs in data:
        for found, expected in zip(outputs_of(even, inputs), outputs_of(fused(name), inputs), strict=True):
            scale = max(1.0, float(expected.abs().max())) if expected.is_floating_point() else 1.0
            assert torch.allclose(found, expected, rtol=FLOAT_ROUNDING, atol=FLOAT_ROUNDING * scale)


class Uneven(nn.Module):
    """Convolutions whose channels differ a hundredfold, through a depthwise layer, ReLU6 and a residual add."""

    def __init__(self, activation: type[nn.Module]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 1)
        self.expand, self.depthwise = nn.Conv2d(8, 16, 1), nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.project, self.head = nn.Conv2d(16, 8, 1), nn.Conv2d(8, 4, 1)
        self.activation = activation()
        for layer in (self.stem, self.expand, self.depthwise, self.project):
            spread = torch.logspace(-2, 0, layer.out_channels).reshape(-1, 1, 1, 1)
            layer.weight.data *= spread
            assert layer.bias is not None
            layer.bias.data *= spread.flatten()
        self.expand.weight.data /= torch.logspace(-2, 0, 8).reshape(1, -1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.activation(self.depthwise(self.activation(self.expand(x))))
        found: Tensor = self.head(x + self.project(y))
        return found


def noise_db(model: nn.Module, x: Tensor, config: QuantConfig) -> float:
    (found,), (expected,) = outputs_of(fx.quantize(model, x, [x], config), (x,)), outputs_of(model, (x,))
    return float(10 * torch.log10((found - expected).square().sum() / expected.square().sum()))


@pytest.mark.parametrize("activation", [nn.ReLU, nn.ReLU6])
def test_uneven_channels_lose_less(activation: type[nn.Module]) -> None:
    torch.manual_seed(1)
    model, x = Uneven(activation).eval(), torch.randn(8, 3, 12, 12)
    before = noise_db(model, x, QuantConfig(equalization=False))
    assert noise_db(model, x, QuantConfig()) < before - 2


def test_the_log_names_each_group() -> None:
    torch.manual_seed(1)
    x = torch.randn(8, 3, 12, 12)
    log = pass_logs(equalize(fx.capture(Uneven(nn.ReLU6).eval(), x), [x]))[-1]
    assert log.name == "equalize"
    assert {c.node for c in log.result.changed} == {"stem", "expand", "depthwise"}
    assert all("channels widened" in c.what for c in log.result.changed)


def test_an_even_group_is_left_alone() -> None:
    layer = nn.Conv2d(2, 2, 1, bias=False)
    layer.weight.data = torch.eye(2).reshape(2, 2, 1, 1)
    reader = nn.Conv2d(2, 2, 1)
    reader.weight.data.fill_(0.5)
    model = nn.Sequential(layer, reader).eval()
    x = torch.ones(2, 2, 3, 3)
    graph = fx.capture(model, x)
    even = equalize(graph, [x])
    assert not pass_logs(even)[-1].result.changed
    assert [s.why for s in pass_logs(even)[-1].result.skipped] == ["its channels are as even as they can be"]
    assert torch.equal(outputs_of(even, (x,))[0], outputs_of(graph, (x,))[0])


def test_the_given_graph_is_not_changed() -> None:
    graph = fused("residual_block")
    before = {k: v.clone() for k, v in graph.state_dict().items()}
    equalize(graph, calibration_data(TINY["residual_block"]))
    assert all(torch.equal(v, before[k]) for k, v in graph.state_dict().items())


def test_batches_are_all_there_for_calibration() -> None:
    batches = (torch.randn(16, 5, 9, 7) for _ in range(9))
    graph = fused("conv_bn_relu")
    _, rest = repaired(graph, batches, QuantConfig())
    assert sum(len(b) for b in rest) == 9 * 16 > SAMPLES
    untouched, same = repaired(graph, batches, QuantConfig(equalization=False, pixel_grid=False))
    assert untouched is graph
    assert same is batches


def test_no_data() -> None:
    with pytest.raises(InputError, match="it is empty"):
        equalize(fused("conv_bn_relu"), [])


def test_data_of_another_shape() -> None:
    with pytest.raises(InputError, match=r"it is \(2, 3, 9, 7\) torch.float32; the model was captured for"):
        equalize(fused("conv_bn_relu"), [torch.randn(2, 3, 9, 7)])


def test_values_that_overflow_name_the_node() -> None:
    first = nn.Conv2d(3, 4, 1)
    first.weight.data.fill_(1e38)
    model = nn.Sequential(first, nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    x = torch.full((1, 3, 2, 2), 1e3)
    with pytest.raises(GraphError, match="NaN or infinite on the calibration data"):
        equalize(fx.capture(model, torch.randn(1, 3, 2, 2)), [x])


def test_only_float_graphs() -> None:
    with pytest.raises(GraphError, match="OBSERVED"):
        equalize(observed("conv_bn_relu"), calibration_data(TINY["conv_bn_relu"]))
    assert captured("conv_bn_relu") is not None


def test_it_finds_the_same_in_inference_mode() -> None:
    data = [torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(0))]
    graph = fx.fuse(fx.capture(Uneven(nn.ReLU6).eval(), (data[0],)))
    expected = equalize(graph, data).state_dict()
    with torch.inference_mode():
        found = equalize(graph, [data[0].clone()]).state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
