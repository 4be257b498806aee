"""The k largest or smallest values, equal ones in the order of their indices, in PyTorch and in ONNX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from fxpasses.export.onnx_writer.translations.quantized import quantized_translations
from fxpasses.quantization.selection.first_topk import first_topk


@given(values=st.lists(st.integers(-3, 3), min_size=1, max_size=12), data=st.data(), largest=st.booleans())
def test_equal_values_keep_their_order(values: list[int], data: st.DataObject, largest: bool) -> None:
    k = data.draw(st.integers(1, len(values)))
    found, indices = first_topk(torch.tensor(values, dtype=torch.float32), k, 0, largest)
    expected = sorted(range(len(values)), key=lambda i: (-values[i] if largest else values[i], i))[:k]
    assert indices.tolist() == expected
    assert found.tolist() == [values[i] for i in expected]


def test_the_same_values_as_topk_in_any_dimension() -> None:
    x = torch.randn(3, 5, 7)
    for dim, size in enumerate(x.shape):
        torch.testing.assert_close(first_topk(x, size - 1, dim), tuple(x.topk(size - 1, dim)), rtol=0, atol=0)


def test_its_shapes_are_known_without_values() -> None:
    values, indices = first_topk(torch.empty(2, 6, 4, device="meta"), 3, 1)
    assert (values.shape, values.dtype) == ((2, 3, 4), torch.float32)
    assert (indices.shape, indices.dtype) == ((2, 3, 4), torch.int64)


class _Best(nn.Module):
    def __init__(self, dim: int, largest: bool) -> None:
        super().__init__()
        self.dim, self.largest = dim, largest

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return first_topk(x, 4, self.dim, self.largest)


@pytest.mark.parametrize("dim", [1, -1])
@pytest.mark.parametrize("largest", [True, False])
def test_onnxruntime_takes_the_same(dim: int, largest: bool, tmp_path: Path) -> None:
    """Values of three levels: nearly all are equal to others."""
    x = torch.randint(0, 3, (3, 50, 6)).float()
    path = tmp_path / "best.onnx"
    torch.onnx.export(
        _Best(dim, largest).eval(),
        (x,),
        str(path),
        dynamo=True,
        custom_translation_table=quantized_translations(18),
        verbose=False,
    )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for expected, found in zip(first_topk(x, 4, dim, largest), session.run(None, {"x": x.numpy()}), strict=True):
        np.testing.assert_array_equal(expected.numpy(), found)
