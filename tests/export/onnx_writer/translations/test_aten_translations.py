"""Operators that torch's exporter has no translation for: the file computes what PyTorch does, on other sizes, too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import fxpasses as fx

EDGES = torch.tensor([0.0, -0.0, 1.0, -1.0, torch.inf, -torch.inf, torch.nan, 2.0])
SORTED = torch.tensor([-1.0, -0.5, 0.0, 0.0, 1.0])

OPERATORS: dict[str, Callable[[Tensor], Any]] = {
    "k-th value": lambda x: x.kthvalue(2, 1),
    "k-th value, kept": lambda x: x.kthvalue(3, -1, keepdim=True),
    "median": lambda x: x.median(1),
    "median of an even number": lambda x: x[..., :4].median(-1, keepdim=True),
    "median of all": lambda x: x.median() + x,
    "distances": lambda x: torch.cdist(x, x.flip(1) + 1),
    "distances of few and many": lambda x: torch.cdist(x[:, :2], x + 1, p=2.0),
    "distances to prototypes": lambda x: torch.cdist(x, torch.eye(5)[:3], p=1.0),
    "distances, largest": lambda x: torch.cdist(x, x, p=float("inf")),
    "distances, count": lambda x: torch.cdist(x.round(), x.round(), p=0.0),
    "distances, cubic": lambda x: torch.cdist(x, x, p=3.0),
    "running product": lambda x: x.cumprod(1),
    "running product, last": lambda x: (1 - x.sigmoid()).cumprod(-1),
    "running maximum": lambda x: x.round().cummax(1),
    "running minimum": lambda x: x.round().cummin(-1),
    "hypotenuse": lambda x: torch.hypot(x, x + 1),
    "sign of another": lambda x: torch.copysign(x[..., :1], EDGES[:6]),
    "larger, not NaN": lambda x: torch.fmax(x[..., :1], EDGES),
    "smaller, not NaN": lambda x: torch.fmin(EDGES, x[..., :1]),
    "place": lambda x: torch.searchsorted(SORTED, (x * 2).round() / 2),
    "place on the right": lambda x: torch.searchsorted(SORTED, (x * 2).round() / 2, right=True, out_int32=True),
    "place in rows": lambda x: torch.searchsorted(x.sort(-1).values, x.flip(1)),
    "is one of": lambda x: torch.isin((x * 2).round(), torch.arange(-30.0, 1.0, 2)),
    "even windows": lambda x: torch.nn.functional.adaptive_avg_pool3d(x[:, None, None], (1, 1, 5)),
    "uneven windows": lambda x: torch.nn.functional.adaptive_avg_pool3d(
        x[:, None, None].repeat(1, 1, 3, 1, 1), (2, 3, 4)
    ),
}


class Layer(nn.Module):
    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.layer, self.function = nn.Linear(5, 5), function

    def forward(self, x: Tensor) -> Any:
        found = self.function(self.layer(x))
        return tuple(found) if isinstance(found, tuple) else found


@pytest.mark.parametrize("name", OPERATORS)
def test_the_file_computes_the_same(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Layer(OPERATORS[name]).eval()
    path = fx.export.to_onnx(fx.capture(net, torch.randn(3, 4, 5)), tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(path)
    for batch in (1, 6):
        x = torch.randn(batch, 4, 5)
        with torch.no_grad():
            expected = net(x)
        found = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        for value, other in zip(expected if isinstance(expected, tuple) else (expected,), found, strict=True):
            assert value.numpy().dtype == other.dtype and value.shape == other.shape
            np.testing.assert_allclose(other, value.numpy(), rtol=1e-5, atol=1e-5)
            assert np.array_equal(np.signbit(other), np.signbit(value.numpy())) or name != "sign of another"


REFUSED: dict[str, Callable[[Tensor], Any]] = {
    "searchsorted with a sorter": lambda x: torch.searchsorted(SORTED, x, sorter=torch.arange(5)),
    "running extremes of integers": lambda x: (9 * x).int().cummax(1),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_is_refused(why: str, tmp_path: Path) -> None:
    with pytest.raises(fx.GraphError, match=why):
        fx.export.to_onnx(fx.capture(Layer(REFUSED[why]).eval(), torch.randn(3, 4, 5)), tmp_path / "m.onnx")


def test_what_has_no_translation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(fx.GraphError, match=r"(?s)No ONNX function found .*lgamma.*fix: keep that operator out"):
        fx.export.to_onnx(fx.capture(Layer(torch.lgamma).eval(), torch.randn(3, 4, 5)), tmp_path / "m.onnx")
