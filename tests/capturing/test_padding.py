"""Paddings given as words become numbers if both sides get the same."""

from __future__ import annotations

import pytest
import torch
from tiny_graphs import outputs_of
from torch import fx, nn

from fxpasses.capturing.padding import even_padding, number_paddings


@pytest.mark.parametrize(
    ("conv", "padding"),
    [
        (nn.Conv2d(1, 1, (3, 5), padding="same", dilation=(1, 2)), (1, 4)),
        (nn.Conv2d(1, 1, 3, padding="valid"), (0, 0)),
        (nn.Conv1d(1, 1, 2, padding="same", dilation=2), (1,)),
        (nn.Conv3d(1, 1, 1, padding="same"), (0, 0, 0)),
        (nn.Conv2d(1, 1, (3, 2), padding="same"), None),
        (nn.Conv2d(1, 1, 3, padding=1), None),
        (nn.Conv2d(1, 1, 3, padding="same", padding_mode="reflect"), None),
    ],
)
def test_numbers_for_words(conv: nn.Conv2d, padding: tuple[int, ...] | None) -> None:
    assert even_padding(conv) == padding


@pytest.mark.filterwarnings("ignore:.*zero-padded copy")  # torch says so once in a process
def test_a_twin_takes_the_place_and_the_users_module_stays() -> None:
    conv = nn.Conv2d(2, 2, 3, padding="same", dilation=2)
    uneven = nn.Conv2d(2, 2, 2, padding="same")
    model = nn.Sequential(nn.Sequential(conv, conv), uneven).eval()
    gm = fx.symbolic_trace(model)
    number_paddings(gm)
    x = torch.randn(2, 2, 9, 7)
    torch.testing.assert_close(outputs_of(gm, (x,)), outputs_of(model, (x,)), rtol=0, atol=0)
    twin = gm.get_submodule("0.0")
    assert isinstance(twin, nn.Conv2d)
    assert twin.padding == (2, 2)
    assert twin.weight is conv.weight
    assert conv.padding == "same"
    assert gm.get_submodule("1") is uneven
    number_paddings(gm)
    assert gm.get_submodule("0.0") is twin
