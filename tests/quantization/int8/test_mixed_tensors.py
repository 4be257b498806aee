"""Parts that one grid would set to zero: they are found, their readers stay float, and the result is accurate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny_graphs import skip_reasons
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.int8.mixed_tensors import PartMoments, joined_by, take_out_parts
from fxpasses.quantization.int8.observe import observe, without_observers

PLAIN = QuantConfig(target="x86-avx2", equalization=False)
Body = Callable[[Any, Tensor], Any]


class Joining(nn.Module):
    """Two branches whose values differ by a large factor, and layers that compensate for it; ``[B, 3, 6, 5]``."""

    def __init__(self, body: Body, factor: float) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(3, 8, 3, padding=1)
            self.mix, self.last, self.few = nn.Conv2d(16, 8, 1), nn.Conv2d(8, 4, 1), nn.Conv2d(8, 4, 1)
        with torch.no_grad():
            self.a.weight *= factor
            self.mix.weight[:, :8] /= factor
        self.body = body

    def forward(self, x: Tensor) -> Any:
        return self.body(self, x)


def _written(net: Any, x: Tensor) -> Tensor:
    y = torch.zeros(x.shape[0], 16, 6, 5)
    y[:, :8], y[:, 8:] = net.a(x), net.b(x)
    found: Tensor = net.last(net.mix(y).relu())
    return found


JOINS: dict[str, Body] = {
    "cat": lambda net, x: net.last(net.mix(torch.cat([net.a(x), net.b(x)], 1)).relu()),
    "cat_relu": lambda net, x: net.last(net.mix(torch.cat([net.a(x), net.b(x)], 1).relu()).relu()),
    "pooled": lambda net, x: net.last(net.mix(nn.functional.max_pool2d(torch.cat([net.a(x), net.b(x)], 1), 2)).relu()),
    "stack": lambda net, x: net.last(net.mix(torch.stack([net.a(x), net.b(x)], 1).flatten(1, 2)).relu()),
    "written": _written,
}


def quantized(body: Body, factor: float, config: QuantConfig = PLAIN) -> tuple[nn.Module, fx.GraphModule, Tensor]:
    net, generator = Joining(body, factor).eval(), torch.Generator().manual_seed(5)
    x = [torch.randn(4, 3, 6, 5, generator=generator) for _ in range(3)]
    return net, fxpasses.quantize(net, x[0], x[:2], config), x[2]


def sqnr_db(expected: Tensor, found: Tensor) -> float:
    return float(10 * torch.log10(expected.square().sum() / (expected - found).square().sum()))


@pytest.mark.parametrize("case", JOINS)
def test_what_reads_parts_that_one_grid_would_wipe_out_stays_float(case: str) -> None:
    net, int8, x = quantized(JOINS[case], 1000.0)
    reasons = skip_reasons(int8, "convert")
    assert {n for n, why in reasons.items() if "one grid would wipe out" in why} >= {"mix"}
    assert "last" not in reasons, "behind the layer that mixes the parts int8 goes on"
    with torch.no_grad():
        assert sqnr_db(net(x), int8(x)) > 30


@pytest.mark.parametrize("case", JOINS)
def test_parts_that_fit_one_grid_share_it(case: str) -> None:
    net, int8, x = quantized(JOINS[case], 2.0)
    assert not any("wipe out" in why for why in skip_reasons(int8, "convert").values())
    with torch.no_grad():
        assert sqnr_db(net(x), int8(x)) > 25


@pytest.mark.filterwarnings("ignore:nothing in this model runs in int8")
def test_slices_of_a_layer_of_two_meanings() -> None:
    def body(net: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        y = net.a(x)
        return y[:, :4], y[:, 4:].sigmoid()

    net = Joining(body, 1.0).eval()
    with torch.no_grad():
        net.a.weight[:4] *= 3000
    x = torch.randn(4, 3, 6, 5)
    int8 = fxpasses.quantize(net, x, [x], PLAIN)
    reasons = skip_reasons(int8, "convert")
    assert "a holds parts so unlike that one grid would wipe out getitem" in reasons["a"]
    with torch.no_grad():
        assert all(sqnr_db(a, b) > 30 for a, b in zip(net(x), int8(x), strict=True))


def test_a_part_of_zeros_loses_nothing() -> None:
    _, int8, _ = quantized(
        lambda net, x: net.last(net.mix(torch.cat([net.a(x), torch.zeros_like(net.b(x))], 1)).relu()), 1000.0
    )
    assert not any("wipe out" in why for why in skip_reasons(int8, "convert").values())


def test_where_the_caller_reads_integers_the_last_join_stays_float_too() -> None:
    integers = QuantConfig(target="x86-avx2", equalization=False, float_results=False)
    net, int8, x = quantized(lambda net, x: torch.cat([net.a(x), net.b(x)], 1), 1000.0, integers)
    assert any(n.startswith("cat") for n in skip_reasons(int8, "convert"))
    with torch.no_grad():
        assert sqnr_db(net(x)[:, 8:], int8(x)[:, 8:]) > 25


def test_moments_do_not_hang_on_batches() -> None:
    graph = fxpasses.fuse(fxpasses.capture(Joining(JOINS["cat"], 3.0).eval(), torch.randn(2, 3, 6, 5)))
    join = next(n for n in graph.graph.nodes if joined_by(graph, n))
    x = 100 + torch.randn(6, 16, 4, 4)
    whole, parts = PartMoments(joined_by(graph, join)), PartMoments(joined_by(graph, join))
    whole(x)
    for piece in x.split((1, 2, 3)):
        assert parts(piece) is piece
    parts(x[:0])
    expected = [float(p.double().var(correction=0)) for p in x.split(8, 1)]
    assert whole.powers() == pytest.approx(expected, rel=1e-3)
    assert parts.powers() == pytest.approx(expected, rel=1e-3)


def test_of_one_value_its_square_counts() -> None:
    moments = PartMoments(None)
    moments(torch.full((3, 4), 0.5))
    assert moments.powers() == [0.25]


def test_watchers_leave_the_graph() -> None:
    graph = fxpasses.fuse(fxpasses.capture(Joining(JOINS["cat"], 3.0).eval(), torch.randn(2, 3, 6, 5)))
    observed = observe(graph, PLAIN)
    assert any("fxpasses_parts" in str(n.target) for n in observed.graph.nodes)
    assert not any("fxpasses_parts" in str(n.target) for n in without_observers(observed).graph.nodes)
    assert len(take_out_parts(observed)) == 1
    assert not any("fxpasses_parts" in str(n.target) for n in observed.graph.nodes)
