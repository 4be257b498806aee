"""``fx.prune`` meets the budget in one call, and its result has the sizes before and after."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import fxpasses as fx
from fxpasses.calls.pruned_model import PrunedModel
from fxpasses.errors import InputError

X = torch.randn(2, 3, 9, 7, generator=torch.Generator().manual_seed(0))


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 32, 3), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 5)),
    ).eval()


@pytest.fixture(scope="module")
def loader() -> DataLoader[tuple[torch.Tensor, ...]]:
    images = torch.randn(16, 3, 9, 7, generator=torch.Generator().manual_seed(1))
    return DataLoader(TensorDataset(images, torch.arange(16) % 5), batch_size=8)


def test_half_of_the_multiplications_are_left(loader: DataLoader[tuple[torch.Tensor, ...]]) -> None:
    dense = net()
    pruned = fx.prune(dense, X, "macs=0.5", loader)
    assert pruned.pruned.macs <= 0.5 * pruned.dense.macs
    assert pruned(X).shape == (2, 5)
    assert pruned.compensated_layers > 0
    assert {size % 16 for size, _ in pruned.channels.values()} == {0}, "kernels like multiples of 16"
    assert sum(p.numel() for p in dense.parameters()) == pruned.dense.params, "the model stays as it was"


def test_the_result_prints_and_becomes_json(loader: DataLoader[tuple[torch.Tensor, ...]]) -> None:
    pruned = fx.prune(net(), X, 0.5)
    assert repr(pruned).startswith("PrunedModel(MACs 169 k -> ")
    assert repr(pruned).endswith(", channels removed from 2 layers)")
    told = json.loads(json.dumps(pruned.to_json()))
    assert told["channels"] == {"0": {"kept": 16, "of": 32}, "3": {"kept": 16, "of": 32}}
    assert told["pruned"]["params"] == pruned.pruned.params < told["dense"]["params"]
    assert list(told["kept_whole"]) == ["7"]


def test_what_is_pruned_is_quantized_like_any_model(loader: DataLoader[tuple[torch.Tensor, ...]]) -> None:
    int8 = fx.quantize(fx.prune(net(), X, 0.5).graph, X, loader)
    assert fx.export.to_torch(int8)(X).shape == (2, 5)


@pytest.mark.parametrize("criterion", ["taylor", "activation", "surgeon"])
def test_criteria_that_look_at_data(criterion: str, loader: DataLoader[tuple[torch.Tensor, ...]]) -> None:
    assert isinstance(fx.prune(net(), X, 0.5, loader, criterion=criterion), PrunedModel)


def test_narrow_layers_lose_channels_in_smaller_multiples() -> None:
    narrow = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3)).eval()
    assert fx.prune(narrow, X, 0.3).channels == {"0": (4, 6)}


def test_a_captured_graph_is_taken_as_it_is() -> None:
    graph = fx.capture(net(), X)
    assert fx.prune(graph, X, 0.5).channels == fx.prune(net(), X, 0.5).channels


@pytest.mark.parametrize("criterion", ["taylor", "movement"])
def test_a_regressor_is_scored_by_its_own_loss(criterion: str) -> None:
    """Its labels are no classes."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1)).eval()
    batches = [(x := torch.randn(16, 6), x[:, :1].tanh()) for _ in range(4)]
    with pytest.raises(InputError, match=r"no cross-entropy of outputs \[16, 1\] and labels torch.float32"):
        fx.prune(model, batches[0][0], 0.5, batches, criterion=criterion)
    pruned = fx.prune(model, batches[0][0], 0.5, batches, criterion=criterion, loss=nn.functional.mse_loss)
    assert pruned.channels == {"0": (16, 32), "2": (16, 32)}
