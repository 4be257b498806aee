"""Convolutions keep numbers of zeros as their padding; a node before them pads all else, with the same results."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_graphs import operators_of, outputs_of
from torch import Tensor, fx, nn
from torch.nn import functional as F

import fxpasses
from fxpasses.capturing.rewrites.padding import Padding, plain_paddings, split_padding

CONVS: tuple[type[nn.Conv1d | nn.Conv2d | nn.Conv3d], ...] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@pytest.mark.parametrize(
    ("conv", "padding"),
    [
        (nn.Conv2d(1, 1, (3, 5), padding="same", dilation=(1, 2)), Padding((1, 4))),
        (nn.Conv2d(1, 1, 3, padding="valid"), Padding((0, 0))),
        (nn.Conv1d(1, 1, 2, padding="same", dilation=2), Padding((1,))),
        (nn.Conv3d(1, 1, 1, padding="same"), Padding((0, 0, 0))),
        (nn.Conv2d(1, 1, (3, 2), padding="same"), Padding((1, 0), (0, 1, 0, 0))),
        (nn.Conv2d(1, 1, (4, 3), padding="same"), Padding((1, 1), (0, 0, 0, 1))),
        (nn.Conv2d(1, 1, 3, padding=1), None),
        (nn.Conv2d(1, 1, 3, padding=(2, 1), padding_mode="reflect"), Padding((0, 0), (1, 1, 2, 2), "reflect")),
        (nn.Conv2d(1, 1, (2, 3), padding="same", padding_mode="circular"), Padding((0, 0), (1, 1, 0, 1), "circular")),
        (nn.Conv1d(1, 1, 3, padding="valid", padding_mode="replicate"), Padding((0,), (), "replicate")),
    ],
)
def test_two_parts(conv: nn.Conv2d, padding: Padding | None) -> None:
    assert split_padding(conv) == padding


@pytest.mark.filterwarnings("ignore:.*zero-padded copy")  # torch says so once in a process
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("settings", [{"padding": "same"}, {"padding": 1}, {"padding": "same", "dilation": 3}])
def test_the_same_bits(rank: int, mode: Any, settings: dict[str, Any]) -> None:
    """Kernels of 2, 3 and 4 pixels: ``same`` pads the second and third unequally."""
    convs = [CONVS[rank - 1](3, 3, size, padding_mode=mode, **settings) for size in (2, 3, 4)]
    model = nn.Sequential(*convs).eval()
    gm = fx.symbolic_trace(model)
    plain_paddings(gm)
    gm.recompile()
    x = torch.randn(2, 3, *(11, 13, 12)[:rank])
    torch.testing.assert_close(outputs_of(gm, (x,)), outputs_of(model, (x,)), rtol=0, atol=0)
    found = [m for m in gm.modules() if isinstance(m, CONVS)]
    assert len(found) == len(convs)
    assert all(not isinstance(m.padding, str) and m.padding_mode == "zeros" for m in found)


@pytest.mark.filterwarnings("ignore:.*zero-padded copy")
def test_a_twin_takes_the_place_and_the_users_module_stays() -> None:
    conv = nn.Conv2d(2, 2, 3, padding="same", dilation=2, padding_mode="reflect")
    model = nn.Sequential(nn.Sequential(conv, conv), nn.Conv2d(2, 2, 2, padding="same")).eval()
    gm = fx.symbolic_trace(model)
    plain_paddings(gm)
    gm.recompile()
    x = torch.randn(2, 2, 9, 7)
    torch.testing.assert_close(outputs_of(gm, (x,)), outputs_of(model, (x,)), rtol=0, atol=0)
    twin = gm.get_submodule("0.0")
    assert isinstance(twin, nn.Conv2d)
    assert twin.padding == (0, 0)
    assert twin.weight is conv.weight
    assert (conv.padding, conv.padding_mode) == ("same", "reflect")
    assert [n.kwargs for n in gm.graph.nodes if n.target is F.pad] == [
        {"pad": (2, 2, 2, 2), "mode": "reflect"},
        {"pad": (2, 2, 2, 2), "mode": "reflect"},
        {"pad": (0, 1, 0, 1)},
    ]
    before = str(gm.graph)
    plain_paddings(gm)
    assert gm.get_submodule("0.0") is twin
    assert str(gm.graph) == before


class Decoder(nn.Module):
    """Two steps up with one layer, to sizes that differ, and one with another layer."""

    def __init__(self, rank: int) -> None:
        super().__init__()
        conv = CONVS[rank - 1]
        self.down = conv(2, 2, 3, stride=2, padding=1)
        self.up: Any = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[rank - 1](2, 2, 3, 2, padding=1)
        self.last: Any = copy.deepcopy(self.up)

    def forward(self, x: Tensor) -> Tensor:
        first = self.down(x)
        second = self.down(first)
        third = self.up(second, output_size=first.size()) + first
        fourth = self.up(third, output_size=x.shape[2:]) + x
        return self.last(self.down(fourth), output_size=list(x.shape[2:])) * fourth  # type: ignore[no-any-return]  # layers are Any


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_output_sizes_become_output_padding(rank: int, tmp_path: Path) -> None:
    """A size of 14 comes back from 4 by way of 7: one layer needs two paddings."""
    model, x = Decoder(rank).eval(), torch.randn(2, 2, *(14, 12, 12)[:rank])
    gm = fxpasses.capture(model, x)
    torch.testing.assert_close(outputs_of(gm, (x,)), outputs_of(model, (x,)), rtol=0, atol=0)
    calls = [n for n in gm.graph.nodes if n.op == "call_module" and "down" not in str(n.target)]
    assert all(not n.kwargs for n in calls)
    assert str(calls[-1].target) == "last"
    found = [gm.get_submodule(str(n.target)).output_padding for n in calls]
    assert found == [(0, 1, 1)[:rank], (1, 1, 1)[:rank], (1, 1, 1)[:rank]]
    int8 = fxpasses.quantize(model, x, [x])
    assert {op for op in operators_of(int8) if "conv" in op} == {f"conv{rank}d", f"conv_transpose{rank}d"}
    fxpasses.export.to_onnx(int8, tmp_path / "decoder.onnx")


def test_output_sizes_stay_where_sizes_are_free() -> None:
    model, x = Decoder(2).eval(), torch.randn(2, 2, 12, 12)
    gm = fxpasses.capture(model, x, dynamic={"x": {2: "height", 3: "width"}})
    for size in ((12, 12), (13, 12), (9, 17)):
        other = torch.randn(1, 2, *size)
        torch.testing.assert_close(outputs_of(gm, (other,)), outputs_of(model, (other,)), rtol=0, atol=0)
