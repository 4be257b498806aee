"""Tracing enters modules where it can, keeps others whole, and names the place of a failure."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_graphs import outputs_of
from tiny_nets.convolutions import conv
from tiny_nets.net import IMAGE, OneInput
from torch import Tensor, fx, nn

from fxpasses import capture
from fxpasses.capturing.symbolic_trace import holds_layers, trace_graph
from fxpasses.errors import GraphError
from fxpasses.signature.model_call import argument_names

IMAGES = torch.randn(IMAGE, generator=torch.Generator().manual_seed(0))


def calls(gm: fx.GraphModule) -> list[str]:
    return [str(getattr(n.target, "__name__", n.target)) for n in gm.graph.nodes if n.op.startswith("call_")]


class Stubborn(nn.Module):
    """Module that cannot be traced, and holds no layer."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class StubbornWithLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = conv()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x if x.sum() > 0 else -x)
        return out


class Positions(nn.Module):
    """Module that takes as many rows of a buffer as the input has."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.randn(20, 7))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.get_buffer("table")[: x.size(2)]


class Switch(nn.Module):
    """Module that reads a buffer in Python, which needs real tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("on", torch.tensor(True))

    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if self.on else x


def test_each_module_that_cannot_be_traced_is_kept_alone() -> None:
    model = nn.Sequential(conv(), nn.Sequential(Stubborn(), nn.ReLU()), Stubborn()).eval()
    gm = trace_graph(model, (IMAGES,))
    assert calls(gm) == ["0", "1.0", "1.1", "2"]
    assert torch.equal(outputs_of(gm, (IMAGES,))[0], outputs_of(model, (IMAGES,))[0])


def test_a_module_with_layers_is_not_kept_unasked() -> None:
    model = nn.Sequential(nn.ReLU(), StubbornWithLayer()).eval()
    with pytest.raises(GraphError, match=r"\(in '1'\)[\s\S]*File \".*test_symbolic_trace\.py\", line \d+, in forward"):
        trace_graph(model, (IMAGES,))
    assert calls(trace_graph(model, (IMAGES,), ["1"])) == ["0", "1"]


def test_a_module_that_fails_even_as_a_leaf_gives_up() -> None:
    class Inner(nn.Module):
        def forward(self, x: Tensor, size: int) -> Tensor:
            return x[: int(size)]

    model = OneInput(lambda net, x: net.inner(x, range(x.size(0))), inner=Inner())
    with pytest.raises(GraphError, match="cannot be traced"):
        trace_graph(model, (IMAGES,))


def test_buffers_are_proxies_only_where_they_must() -> None:
    model = nn.Sequential(Positions(), conv()).eval()
    gm = trace_graph(model, (IMAGES,))
    assert calls(gm) == ["size", "getitem", "add", "1"]
    other = (torch.randn(2, 5, 12, 7),)
    assert torch.equal(outputs_of(gm, other)[0], outputs_of(model, other)[0])
    assert calls(trace_graph(Switch().eval(), (IMAGES,))) == ["mul"]


@pytest.mark.parametrize(("open_containers", "kept"), [(True, False), (False, True)])
def test_torchs_own_containers_of_layers_are_entered_or_not(open_containers: bool, kept: bool) -> None:
    model = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)).eval()
    tokens = (torch.randn(2, 5, 8),)
    if kept:
        assert calls(trace_graph(model, tokens, open_containers=open_containers)) == ["0"]
        return
    with pytest.raises(GraphError, match=r"\(in '0'\)"):
        trace_graph(model, tokens, open_containers=open_containers)


def test_attention_and_recurrent_layers_stay_whole_hooks_and_all() -> None:
    model = OneInput(lambda net, x: net.lstm(net.mha(x, x, x)[0])[0], mha=nn.MultiheadAttention(8, 2, batch_first=True),
                     lstm=nn.LSTM(8, 4)).eval()  # fmt: skip
    model.get_submodule("lstm").register_forward_hook(lambda m, args, output: None)
    assert calls(trace_graph(model, (torch.randn(2, 5, 8),))) == ["mha", "getitem", "lstm", "getitem"]


def test_constants_met_on_the_way_are_not_attached_to_the_model() -> None:
    model = OneInput(lambda net, x: x + torch.arange(7)).eval()
    before = set(vars(model))
    gm = trace_graph(model, (IMAGES,))
    assert "_tensor_constant0" in dict(gm.named_buffers())
    assert set(vars(model)) == before


def test_argument_names_follow_the_signature() -> None:
    def forward(self: Any, x: Any, y: Any = None, *more: Any, gain: int = 2) -> None: ...

    assert argument_names(forward, (0, 1)) == ["self", "x"]
    assert argument_names(forward, (0, 1, 2, 3, 4)) == ["self", "x", "y", "more_0", "more_1"]


def test_layers_are_what_int8_would_lose() -> None:
    assert holds_layers(nn.Sequential(nn.Sequential(nn.Linear(2, 2))))
    assert not holds_layers(nn.Sequential(nn.ReLU(), Stubborn()))


ROWS = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))


class Running(nn.Module):
    """Replaces a buffer and an attribute, and makes a new one."""

    mean: Tensor
    last: Tensor | None

    def __init__(self, fails: bool = False) -> None:
        super().__init__()
        self.layer, self.fails, self.last = nn.Linear(4, 3), fails, None
        self.register_buffer("mean", torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)
        self.mean = 0.9 * self.mean + 0.1 * y.mean(0)
        self.last, self.shape = y, y.shape
        self.new = y
        return y if not self.fails or y.sum() > 0 else y - self.mean


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_trace_replaced_is_back(fails: bool) -> None:
    inner = Running(fails)
    model = nn.Sequential(inner).eval()
    before = inner.mean
    if fails:
        with pytest.raises(GraphError):
            trace_graph(model, (ROWS,))
    else:
        trace_graph(model, (ROWS,))
    assert inner.mean is before and inner.last is None and not hasattr(inner, "new")
    assert torch.isfinite(model(ROWS)).all()


class Remembers(nn.Module):
    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.register_buffer("mean", torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)
        self.mean = 0.9 * self.mean + 0.1 * y.mean(0)
        found: Tensor = y - self.mean
        return found


def test_a_state_between_calls_is_told_in_numbers() -> None:
    model = Remembers().eval()
    with pytest.raises(GraphError, match=r"why: outputs differ by .*keeps state between calls"):
        capture(model, ROWS)
    assert isinstance(model.mean, Tensor)
