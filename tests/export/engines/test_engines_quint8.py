"""Operators on quint8 views, and how they are called."""

from __future__ import annotations

import torch

from fxpasses.export.engines import quint8


def test_an_operator_is_called_without_dispatch_in_python() -> None:
    overload = torch.ops.aten.add.Tensor
    function = quint8.without_dispatch(overload)
    assert function is not overload
    assert torch.equal(function(torch.ones(2), torch.ones(2)), torch.full((2,), 2.0))
    assert quint8.without_dispatch(max) is max
