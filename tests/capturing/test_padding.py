"""Convolutions keep numbers of zeros as their padding; a node before them pads all else, with the same results."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_graphs import outputs_of
from torch import fx, nn
from torch.nn import functional as F

from fxpasses.capturing.padding import Padding, plain_paddings, split_padding

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
