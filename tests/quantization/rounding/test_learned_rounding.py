"""Learned rounding: nearer to the float model than rounding to nearest, for every graph, and deterministic."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from int8_files import inputs_of
from tiny_graphs import calibration_data, fused, observed, outputs_of
from tiny_nets.all_nets import TINY
from torch import nn

import fxpasses as fx
from fxpasses.errors import GraphError, InputError
from fxpasses.export.metadata import qparams_hash
from fxpasses.graph.pass_runner import pass_logs
from fxpasses.graph.stages import config_of
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.quantization.int8.exactness import margins

NIBBLES = QuantConfig(observer="minmax", weight_bits=4, overrides=(Override("*", weight_bits=4),))
AWKWARD = ("residual_block", "two_inputs", "two_outputs", "dict_output", "shared_conv_and_bn", "conv_transpose2d_bn",
           "embedding_linear", "layer_norm", "squeeze_excite", "conv3d_bn_relu", "linear_without_bias")  # fmt: skip


class Chain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            *(m for i in range(8) for m in (nn.Conv2d(3 if i == 0 else 12, 12, 3, padding=1), nn.ReLU()))
        )
        for m in self.layers:
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight)  # so that what the image says reaches the outputs
        self.last = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.last(self.layers(x).mean((2, 3)))
        return found


def images(seed: int) -> torch.Tensor:
    return torch.randn(24, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def sqnr_db(model: nn.Module, int8: nn.Module, x: torch.Tensor) -> float:
    (wanted,), (found,) = outputs_of(model, (x,)), outputs_of(int8, (x,))
    return float(10 * torch.log10(wanted.square().sum() / (found - wanted).square().sum()))


def test_it_is_nearer_than_nearest_on_data_it_has_not_seen() -> None:
    model = Chain().eval()
    nearest = fx.quantize(model, images(0), [images(1)], QuantConfig(weight_bits=4, weight_search="mse"))
    config = QuantConfig(weight_bits=4, weight_search="mse", rounding="learned")
    learned = fx.quantize(model, images(0), [images(1)], config)
    assert sqnr_db(model, learned, images(2)) > sqnr_db(model, nearest, images(2)) + 2
    log = pass_logs(learned)[-1]
    assert log.name == "learn_rounding" and len(log.result.changed) == 3
    assert "SQNR rounded to nearest" in log.result.changed[0].what


@pytest.mark.parametrize("name", AWKWARD)
def test_any_graph_learns_and_keeps_its_proofs(name: str) -> None:
    data = calibration_data(TINY[name])
    graph = observed(name, NIBBLES)
    told: list[tuple[str, int, int]] = []
    learned = fx.learn_rounding(graph, data, steps=2, progress=lambda *what: told.append(what))
    assert [m.is_proof for m in margins(learned)] == [m.is_proof for m in margins(fx.convert(graph))]
    assert [done for _, done, _ in told] == list(range(1, told[-1][2] + 1)) if told else True
    found, expected = (outputs_of(gm, inputs_of(name)) for gm in (learned, fx.convert(graph)))
    assert [y.shape for y in found] == [y.shape for y in expected]


def test_the_same_every_time_and_the_graph_is_left_alone() -> None:
    graph = observed("residual_block", NIBBLES)
    before = qparams_hash(fx.convert(graph))
    data = calibration_data(TINY["residual_block"])
    first, second = (qparams_hash(fx.learn_rounding(graph, data, steps=3)) for _ in range(2))
    assert first == second != before == qparams_hash(fx.convert(graph))


def test_files_say_which_rounding_it_was() -> None:
    asked = replace(NIBBLES, rounding="learned")
    graph, data = observed("residual_block", asked), calibration_data(TINY["residual_block"])
    assert config_of(fx.convert(graph)).rounding == "nearest"
    plain = observed("residual_block", NIBBLES)
    assert config_of(fx.learn_rounding(plain, data, steps=1)) == asked


def test_a_graph_that_was_not_observed() -> None:
    with pytest.raises(GraphError, match=r"learn_rounding got a graph in stage FLOAT"):
        fx.learn_rounding(fused("residual_block"), calibration_data(TINY["residual_block"]))


def test_no_data() -> None:
    with pytest.raises(InputError, match=r"calibration data\n.*it is empty"):
        fx.learn_rounding(observed("residual_block", NIBBLES), [])
