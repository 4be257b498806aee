"""Outputs are compared after the activation, as the next layer reads them, each one separately."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.graph.edit import module_of
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.int8.observe import without_observers
from fxpasses.quantization.rounding import compare_outputs
from fxpasses.quantization.rounding.compare_outputs import OutputErrors
from fxpasses.quantization.rounding.learned_integers import LearnedBias, LearnedWeight, trainable_twin

CONFIG = QuantConfig(observer="minmax", weight_bits=4, bias_correction=False, equalization=False, pixel_grid=False)


class Net(nn.Module):
    """A convolution with a ReLU after it whose second output is always zero, one without, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.seen, self.plain, self.last = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 5, 3), nn.Linear(5, 6)
        assert self.seen.bias is not None
        self.seen.bias.data = torch.tensor([0.5, -50.0, 0.0, 0.5])

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(self.plain(torch.relu(self.seen(x))).mean((2, 3)))
        return found


def data() -> Tensor:
    return torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(1))


class Case:
    def __init__(self, place: int) -> None:
        observed = fxpasses.observe(fxpasses.fuse(fxpasses.capture(Net().eval(), data())), CONFIG)
        fxpasses.calibrate(observed, [data()])
        int8, self.exact = fxpasses.convert(observed), without_observers(observed)
        self.twin, _ = trainable_twin(int8, self.exact, CONFIG)
        self.layer = [n for n in self.exact.graph.nodes if n.op == "call_module"][place]
        functions = (torch.conv2d, nn.functional.linear)
        self.node = [n for n in self.twin.graph.nodes if n.target in functions][place]

    def learned(self, place: int) -> nn.Module:
        argument = self.node.args[place]
        assert isinstance(argument, fx.Node)
        return module_of(self.twin, argument, nn.Module)

    def errors(self) -> OutputErrors:
        return OutputErrors(self.exact, self.twin, self.layer, self.node, [data()], [data()])


@pytest.mark.parametrize(("place", "outputs"), [(0, 4), (1, 5), (2, 6)])
def test_there_is_one_error_for_each_output(place: int, outputs: int) -> None:
    off = Case(place).errors()()
    assert off.shape == (outputs,) and bool((off >= 0).all()) and float(off.max()) > 0


@pytest.mark.parametrize("place", [0, 1, 2])
def test_it_sees_what_became_of_one_output(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_outputs, "ENOUGH", 8)
    case = Case(place)
    errors, weight = case.errors(), case.learned(1)
    assert isinstance(weight, LearnedWeight)
    before = errors()
    weight.steps.data[0] = 7 - weight.steps.data[0]
    after = errors()
    assert float(after[0]) > float(before[0]) + 1e-3 and torch.equal(after[1:], before[1:])


def test_few_values_speak_for_all_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    together = Case(2).errors()()
    monkeypatch.setattr(compare_outputs, "ENOUGH", 8)
    apart = Case(2).errors()()
    assert together.unique().numel() == 1 < apart.unique().numel()
    assert torch.allclose(together[0], apart.mean())


def test_what_the_activation_forgets_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_outputs, "ENOUGH", 8)
    case = Case(0)
    errors, bias = case.errors(), case.learned(2)
    assert isinstance(bias, LearnedBias)
    before = errors()
    assert float(before[1]) == 0
    with torch.no_grad():
        wanted = bias()
        wanted[1] += 5.0  # the sum is farther off, and still far below zero
        bias.start_at(wanted)
    assert torch.equal(errors(), before)


def test_large_tensors_are_compared_on_few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_outputs, "VALUES", 1)
    assert len(Case(0).errors().wanted) == compare_outputs.FEWEST
    assert len(Case(0).errors().inputs) == compare_outputs.FEWEST


def test_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Case(1).errors()()
    monkeypatch.setattr(compare_outputs, "PIECE", 3)
    assert torch.allclose(Case(1).errors()(), whole, rtol=1e-5)
