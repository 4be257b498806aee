"""Sizes that the caller wants free are tried, and refused with the reason if the model or its graph
does not allow it.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fxpasses as fx
from fxpasses.capturing.dynamic_sizes import image_sizes
from fxpasses.signature.free_sizes import free_sizes


class Cells(nn.Module):
    """Rows of cells; their number depends on the size of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x).flatten(2)
        return y


IMAGE = torch.rand(2, 1, 6, 8)


def test_names_dimensions_and_the_sizes_they_were_tried_with() -> None:
    found = free_sizes(fx.capture(Cells().eval(), IMAGE, dynamic={"x": {2: "height", -1: torch.export.Dim("width")}}))
    assert found.inputs == ({0: "batch", 2: "height", 3: "width"},)
    assert found.tried == {"batch": 3, "height": 7, "width": 9}


def test_nothing_is_learned_beside_a_batch_that_is_named() -> None:
    layer = nn.Linear(6, 5).eval()
    assert free_sizes(fx.capture(layer, torch.randn(2, 4, 6), dynamic={"input": {1: "batch"}})).inputs == (
        {1: "batch"},
    )


REFUSED: dict[str, tuple[Any, str]] = {
    "no such input": ({"y": {2: "height"}}, r"(?s)is given no tensor of that name.*fix: name one of x"),
    "no such dimension": ({"x": {4: "depth"}}, r"(?s)dimension 4 of x.*its shape is \[2, 1, 6, 8\].*from 0 to 3"),
    "no name": ({"x": {2: True}}, r"(?s)dimension 2 of x is True.*a free size needs a name"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case: str) -> None:
    dynamic, match = REFUSED[case]
    with pytest.raises(fx.InputError, match=match):
        fx.capture(Cells().eval(), IMAGE, dynamic=dynamic)


def test_a_model_that_takes_no_other_size() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 3)).eval()
    with pytest.raises(fx.GraphError, match=r"(?s)dynamic size 'height'.*takes no other than 6: .*fix: leave it out"):
        fx.capture(model, IMAGE, dynamic={"input": {2: "height"}})


class InPython(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) * torch.ones(x.shape[2]).sum()


def test_sizes_that_are_computed_with() -> None:
    """A value computed from a size is computed again for each call."""
    gm = fx.capture(InPython().eval(), IMAGE, dynamic={"x": {2: "height"}})
    assert gm(torch.ones(1, 1, 7, 8)).item() == 7


def test_images_that_become_images_may_have_any_size() -> None:
    grown = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.PixelShuffle(2)).eval()
    assert free_sizes(fx.capture(grown, IMAGE)).inputs == ({0: "batch", 2: "height", 3: "width"},)
    assert free_sizes(fx.capture(Cells().eval(), IMAGE)).inputs == ({0: "batch"},)


def test_sizes_of_images_at_the_command_line() -> None:
    assert image_sizes(Cells(), (IMAGE,)) == {"x": {2: "height", 3: "width"}}
    with pytest.raises(fx.InputError, match=r"(?s)`dynamic_size=True` for Linear.*no input is of images: \[2, 6\]"):
        image_sizes(nn.Linear(6, 3), (torch.randn(2, 6),))
