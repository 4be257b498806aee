"""Parts of an output: their number, their places and their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fxpasses
from fxpasses.quantization.int8.output_parts import MOST_PARTS, output_parts


class Heads(nn.Module):
    """Outputs ``a`` and ``b`` of ``[B, 2, 4, 5]`` and ``[B, 3, 4, 5]`` from ``[B, 1, 4, 5]``."""

    def __init__(self, body: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.one, self.two, self.body = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 3, 1), body

    def forward(self, x: Tensor) -> Any:
        return self.body(self.one(x), self.two(x))


CASES: dict[str, tuple[Callable[[Tensor, Tensor], Any], list[str]]] = {
    "whole": (lambda a, b: a, ["output (one)"]),
    "joined": (lambda a, b: torch.cat([a, b], 1), ["output[:, 0:2] (one)", "output[:, 2:5] (two)"]),
    "keys": (
        lambda a, b: {"boxes": a, "more": [b, a * 2]},
        ["output boxes (one)", "output more.0 (two)", "output more.1 (mul)"],
    ),
    "transposed": (
        lambda a, b: torch.cat([a, b], 1).flatten(2).transpose(1, 2),
        ["output[:, :, 0:2] (one)", "output[:, :, 2:5] (two)"],
    ),
    "scaled": (
        lambda a, b: torch.cat([a, b.sigmoid()], 1) * torch.ones(1, 5, 1, 1) + 1,
        ["output[:, 0:2] (one)", "output[:, 2:5] (sigmoid)"],
    ),
    "stacked": (
        lambda a, b: torch.stack([a, b[:, :2]], 2).permute(0, 2, 1, 3, 4),
        ["output[:, 0:1] (one)", "output[:, 1:2] (getitem)"],
    ),
    "nested": (
        lambda a, b: torch.cat([torch.cat([a, b], 1), torch.cat([a, b], 1) * 2], 3),
        [
            "output[:, 0:2, :, 0:5] (one)",
            "output[:, 2:5, :, 0:5] (two)",
            "output[:, 0:2, :, 5:10] (one)",
            "output[:, 2:5, :, 5:10] (two)",
        ],
    ),
    "one_in_the_other": (
        lambda a, b: torch.cat([a, torch.cat([b, b], 1)], 1),
        ["output[:, 0:2] (one)", "output[:, 2:5] (two)", "output[:, 5:8] (two)"],
    ),
    "mixed_up": (lambda a, b: torch.cat([a, b], 1).flatten(1), ["output (flatten)"]),
    "of_the_batch": (lambda a, b: torch.cat([a, b[:, :2]], 0), ["output (cat)"]),
    "very_many": (lambda a, b: torch.cat([a] * (MOST_PARTS + 1), 1), ["output (cat)"]),
    "integers_too": (lambda a, b: (a.argmax(1), b), ["output 1 (two)"]),
}


def _without_numbers(text: str) -> str:
    """Names without the numbers that tracing adds to make them unique."""
    name = text[text.index("(") + 1 : -1]
    return text.replace(f"({name})", f"({name.rstrip('0123456789').rstrip('_')})")


@pytest.mark.parametrize("case", CASES)
def test_parts_of_outputs(case: str) -> None:
    body, expected = CASES[case]
    graph = fxpasses.fuse(fxpasses.capture(Heads(body).eval(), torch.randn(2, 1, 4, 5)))
    assert [_without_numbers(str(part)) for part in output_parts(graph)] == expected


def test_a_part_of_some_outputs() -> None:
    graph = fxpasses.capture(Heads(CASES["nested"][0]).eval(), torch.randn(2, 1, 4, 5))
    y = torch.arange(2 * 5 * 4 * 10.0).reshape(2, 5, 4, 10)
    found = [part.of([y]) for part in output_parts(graph)]
    assert all(isinstance(f, Tensor) for f in found)
    assert torch.equal(found[3], y[:, 2:5, :, 5:10])  # type: ignore[arg-type]  # asserted above
    assert output_parts(graph)[0].of([3]) is None


def test_outputs_that_a_function_arranges_are_compared_whole() -> None:
    graph = fxpasses.capture(Heads(CASES["joined"][0]).eval(), torch.randn(2, 1, 4, 5))
    assert [(part.leaf, part.key, part.where) for part in output_parts(graph, 2)] == [(0, "0", ""), (1, "1", "")]
