"""A sweep keeps the observer whose int8 outputs are nearest to float, on samples that ranges were not taken from."""

from __future__ import annotations

import pytest
import torch
from tiny_graphs import outputs_of
from torch import Tensor, nn
from torch import fx as torch_fx

import fxpasses as fx
from fxpasses.errors import GraphError, InputError
from fxpasses.graph.pass_runner import pass_logs
from fxpasses.graph.stages import config_of
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.quantization.int8.observe import find_observers
from fxpasses.quantization.ranges.observer_spec import parse_observer
from fxpasses.quantization.ranges.observers import HistogramObserver, MinMaxObserver, Sweeping
from fxpasses.quantization.repairs.observer_sweep import HELD_OUT, observed_by, sweep_observers

SWEEP = QuantConfig(observer="sweep", equalization=False)


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)).eval()


def data(count: int, outliers: float = 0.0) -> list[Tensor]:
    """Batches of eight; the first has outliers."""
    generator = torch.Generator().manual_seed(1)
    batches = [torch.randn(8, 2, 8, 8, generator=generator) for _ in range(count)]
    batches[0][0, 0, 0, 0] = outliers
    return batches


def observed(config: QuantConfig = SWEEP) -> torch_fx.GraphModule:
    return fx.observe(fx.capture(net(), torch.randn(2, 2, 8, 8)), config)


def sqnr_db(graph: torch_fx.GraphModule) -> float:
    x = torch.randn(64, 2, 8, 8, generator=torch.Generator().manual_seed(9))
    (found,), (expected,) = outputs_of(graph, (x,)), outputs_of(net(), (x,))
    return float(10 * torch.log10(expected.square().sum() / (found - expected).square().sum()))


def test_a_lone_outlier_is_clipped() -> None:
    batches, graph = data(16, outliers=200.0), observed()
    found = sweep_observers(graph, batches, ["percentile:99.9", "percentile:50"])
    assert found.chosen == "percentile:99.9"
    assert list(found.sqnr_db) == ["percentile:99.9", "histogram", "minmax", "percentile:50.0"]
    assert (found.samples, found.held_out) == (128, HELD_OUT)
    assert found.sqnr_db["percentile:99.9"] > found.sqnr_db["minmax"] + 10
    log = pass_logs(graph)[-1]
    assert {c.node for c in log.result.changed} == set(find_observers(graph))
    assert all(c.what.startswith("observed by percentile:99.9; SQNR") for c in log.result.changed)


@pytest.mark.parametrize("outliers", [0.0, 200.0])
def test_it_is_what_the_observer_chosen_would_have_given(outliers: float) -> None:
    batches, graph = data(16, outliers), observed()
    found = sweep_observers(graph, iter(batches), ["percentile:99.9", "entropy"])
    settings = config_of(graph)
    assert settings == QuantConfig(observer=found.chosen, equalization=False)
    again = observed(settings)
    fx.calibrate(again, batches)
    ours, theirs = fx.convert(graph), fx.convert(again)
    assert [n.args for n in ours.graph.nodes if "int8" in n.name] and ours.code == theirs.code
    assert all(torch.equal(v, theirs.state_dict()[k]) for k, v in ours.state_dict().items())


def test_a_reckless_percentile_is_not_taken() -> None:
    graph = observed()
    found = sweep_observers(graph, data(16), ["percentile:60"])
    assert found.chosen in ("histogram", "minmax")
    assert sqnr_db(fx.convert(graph)) > 30


def test_little_is_no_reason_to_leave_the_histogram() -> None:
    found = sweep_observers(observed(), data(16), ["histogram:2.05", "histogram:1.95"])
    assert found.chosen == "histogram"


def test_observers_of_overrides_stay() -> None:
    graph = observed(QuantConfig(observer="sweep", overrides=(Override("layer:0", observer="minmax"),)))
    sweep_observers(graph, data(16), ["percentile:99.9"])
    kinds = [type(graph.get_submodule(str(n.target))) for n in find_observers(graph).values()]
    assert kinds.count(MinMaxObserver) == 1
    assert Sweeping not in kinds
    assert config_of(graph).overrides[0].observer == "minmax"


def test_some_tensors_alone_can_wait_for_it() -> None:
    graph = observed(QuantConfig(overrides=(Override("_2", observer="sweep"),)))
    found = sweep_observers(graph, data(16), ["minmax"])
    config = config_of(graph)
    assert config.observer == "histogram"
    assert [o.observer for o in config.overrides] == [found.chosen]
    assert not config.sweeps


@pytest.mark.parametrize("batches", [[8, 8], [16], [3], [40, 40], [70], [2, 80]])
def test_few_samples_are_shared(batches: list[int]) -> None:
    x = torch.randn(sum(batches), 2, 8, 8)
    found = sweep_observers(observed(), x.split(batches), ["minmax"])
    assert found.samples == sum(batches)
    assert 0 < found.held_out < found.samples


def test_the_engine_runs_what_is_compared() -> None:
    ran: list[torch_fx.GraphModule] = []

    def engine(int8: torch_fx.GraphModule) -> torch_fx.GraphModule:
        ran.append(int8)
        return int8

    counted: list[int] = []
    sweep_observers(observed(), data(16), ["entropy"], progress=counted.append, engine=engine)
    assert len(ran) == 3
    assert sum(counted) == 128


def test_quantize_sweeps() -> None:
    int8 = fx.quantize(net(), torch.randn(2, 2, 8, 8), data(16, outliers=200.0), SWEEP)
    assert config_of(int8).observer not in ("sweep", "minmax", "histogram")


def test_what_was_seen_is_what_another_would_have_seen() -> None:
    source, other = HistogramObserver(), MinMaxObserver()
    x = torch.randn(1000)
    source(x)
    other(x)
    assert observed_by(parse_observer("minmax"), source).range() == other.range()
    with pytest.raises(InputError, match="its range depends on how the data came in batches"):
        observed_by(parse_observer("moving_average"), source)


def test_nothing_waits() -> None:
    with pytest.raises(InputError, match="no tensor waits for one to be chosen"):
        sweep_observers(observed(QuantConfig()), data(16))


def test_one_sample() -> None:
    with pytest.raises(InputError, match="one sample cannot both calibrate and compare"):
        sweep_observers(observed(), [torch.randn(1, 2, 8, 8)])


def test_no_data() -> None:
    with pytest.raises(InputError, match="it is empty"):
        sweep_observers(observed(), [])


def test_only_observed_graphs() -> None:
    with pytest.raises(GraphError, match="sweep_observers"):
        sweep_observers(fx.capture(net(), torch.randn(2, 2, 8, 8)), data(2))
