"""``score`` of graphs in every stage and of files, and its refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.errors import GraphError, InputError
from fxpasses.export import load, save
from fxpasses.micronet.api import score
from fxpasses.micronet.bases import find_base
from fxpasses.micronet.text import score_text
from fxpasses.precision.dynamic import to_dynamic
from fxpasses.precision.half import to_half
from fxpasses.precision.weight_only import WeightOnlyConfig, to_weight_only
from fxpasses.quantization.config import QuantConfig

IMAGES = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.last = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.conv(x)))
        logits: Tensor = self.last(torch.nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits


@pytest.fixture(scope="module")
def graph() -> fx.GraphModule:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return fxpasses.capture(Net().eval(), IMAGES)


@pytest.fixture(scope="module")
def int8(graph: fx.GraphModule) -> fx.GraphModule:
    observed = fxpasses.observe(fxpasses.fuse(graph), QuantConfig(target="x86"))
    fxpasses.calibrate(observed, [IMAGES])
    return fxpasses.convert(observed)


PRODUCTS = 27 * 8 * 32 * 32
VALUES = 8 * 32 * 32


def test_a_float_graph(graph: fx.GraphModule) -> None:
    found = score(graph)
    assert found.params == 8 * 27 + 8 + 80 + 10
    assert found.multiplies == PRODUCTS + VALUES + 8 + 80
    assert found.adds() == PRODUCTS - VALUES + VALUES + 8 * (32 * 32 - 1) + 80
    assert found.score() == pytest.approx(find_base("cifar100").score(found.params, found.operations()))


def test_one_example_of_a_batch_counts(graph: fx.GraphModule) -> None:
    single = fxpasses.capture(Net().eval(), IMAGES[:1])
    assert score(single).operations() == score(graph).operations()


def test_a_quantized_graph(int8: fx.GraphModule) -> None:
    found = score(int8)
    rows = {row.operator: row for row in found.rows}
    assert [(s.name, s.kept) for s in rows["conv2d"].stored[:3]] == [("weight", 216), ("scale", 8), ("bias", 8)]
    products, saturation = rows["conv2d"].work
    assert (products.multiplies, products.multiply_bits, products.adds) == (PRODUCTS, 8, PRODUCTS)
    assert (saturation.multiplies, saturation.multiply_bits) == (VALUES, 8)  # it takes the place of the ReLU
    assert rows["linear"].work[0].adds == 80 and rows["adaptive_avg_pool2d"].work[0].exact_bits == 18
    assert found.adds("exact") < found.adds("32") == 2 * found.adds("16")


def test_a_file_scores_as_its_graph_does(int8: fx.GraphModule, graph: fx.GraphModule, tmp_path: Path) -> None:
    for made in (int8, graph):
        assert score(load(save(made, tmp_path / "net.pt2"))).score() == pytest.approx(score(made).score())


@pytest.fixture(scope="module")
def linear() -> fx.GraphModule:
    return fxpasses.fuse(fxpasses.capture(nn.Sequential(nn.Linear(64, 32)).eval(), torch.randn(2, 64)))


def test_weight_only_graphs(linear: fx.GraphModule) -> None:
    found = score(to_weight_only(linear, WeightOnlyConfig(4)))
    assert found.params * 32 == 64 * 32 * 4 + 2 * 32 * 32 + 32 * 32  # weights, a scale for 32 of them, biases
    assert (found.multiplies, found.adds()) == (64 * 32, 64 * 32)


def test_dynamic_graphs_multiply_bytes(linear: fx.GraphModule) -> None:
    assert score(to_dynamic(linear)).multiplies == 64 * 32 / 4


def test_half_precision(linear: fx.GraphModule) -> None:
    found = score(to_half(linear, "fp16"), freebie=True)
    assert found.params == (64 * 32 + 32) / 2
    assert found.multiplies == 64 * 32 / 2


def test_recurrent_layers_are_counted_in_part_and_say_so() -> None:
    model = nn.LSTM(8, 4, batch_first=True).eval()
    graph = fxpasses.capture(model, torch.randn(2, 5, 8))
    found = score(graph)
    assert found.multiplies == 5 * 16 * 12
    assert found.uncounted == ("what recurrent computes beside its products",)
    assert "not counted" in score_text(found)


def test_masks_count(graph: fx.GraphModule) -> None:
    pruned = fxpasses.fuse(graph)
    conv = next(m for m in pruned.modules() if isinstance(m, nn.Conv2d))
    conv.weight = nn.Parameter(conv.weight * (torch.arange(3)[None, :, None, None] == 0))
    found = score(pruned)
    assert found.params == pytest.approx(72 + 216 / 32 + 8 + 90)
    assert score(pruned, block=(8, 9)).params == pytest.approx(72 + 3 / 32 + 8 + 90)
    assert score(graph).multiplies - found.multiplies == PRODUCTS * 2 / 3


def test_widths_that_are_assumed(graph: fx.GraphModule) -> None:
    found = score(graph, weight_bits=4, activation_bits=8)
    assert found.params == score(graph).params / 8
    assert found.multiplies == score(graph).multiplies / 4


def test_the_courses_score(graph: fx.GraphModule) -> None:
    found, macs = score(graph, "effdl"), PRODUCTS + 80
    assert found.score() == pytest.approx(found.params / 5.6e6 + macs / 2.8e8)
    assert "multiply-accumulates" in score_text(found, layers=False)


def test_cifar10_is_marked(graph: fx.GraphModule, linear: fx.GraphModule) -> None:
    assert "a convention of this project" in score_text(score(graph), layers=False)
    assert score(graph, "imagenet").remark is None and score(linear).remark is None
    assert score(graph).to_json()["remark"] == score(graph).remark


def test_all_accumulators_are_shown(int8: fx.GraphModule) -> None:
    found = score(int8, accumulator="exact")
    text = score_text(found)
    assert all(f"sums of {bits} bits" in text for bits in (16, 32)) and "score       " in text
    document = found.to_json()
    assert document["score"] == found.score("exact") and document["scores"] == {
        a: found.score(a) for a in ("32", "exact", "16")
    }


def test_the_freebie_is_refused_below_16_bits(int8: fx.GraphModule, graph: fx.GraphModule) -> None:
    with pytest.raises(InputError, match="exclude the freebie"):
        score(int8, freebie=True)
    with pytest.raises(InputError, match="has values of 8 bits"):
        score(graph, freebie=True, activation_bits=8)
    assert score(graph, freebie=True, weight_bits=16).params == score(graph).params / 2


def test_other_mistakes(graph: fx.GraphModule, int8: fx.GraphModule) -> None:
    with pytest.raises(InputError, match="there is no such base"):
        score(graph, "cifar10")
    with pytest.raises(InputError, match="accumulator '8'"):
        score(graph, accumulator="8")
    with pytest.raises(InputError, match="values have 1 to 32 bits"):
        score(graph, weight_bits=64)
    with pytest.raises(InputError, match="its widths are its own"):
        score(int8, weight_bits=4)
    with pytest.raises(GraphError, match="counts FLOAT, QUANTIZED and LOWERED graphs"):
        score(fxpasses.observe(fxpasses.fuse(graph), QuantConfig(target="x86")))
