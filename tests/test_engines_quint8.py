"""Operators on quint8 views, and how they are called."""

from __future__ import annotations

import torch
from torch import Tensor

from fxpasses.export.engines import quint8
from fxpasses.quantization.qparams import UINT8, QParams


def test_an_operator_is_called_without_dispatch_in_python() -> None:
    overload = torch.ops.aten.add.Tensor
    function = quint8.without_dispatch(overload)
    assert function is not overload
    assert torch.equal(function(torch.ones(2), torch.ones(2)), torch.full((2,), 2.0))
    assert quint8.without_dispatch(max) is max


class Packed:
    """Weights that say whether they were asked what they override."""

    def __init__(self) -> None:
        self.asked = False

    def __getattr__(self, name: str) -> object:
        self.asked = True
        raise AttributeError(name)


def test_a_bound_layer_gets_its_constants_and_nobody_asks_for_overrides() -> None:
    packed, seen = Packed(), []

    def operator(*given: object) -> object:
        seen.append((given, torch.overrides.has_torch_function((packed,))))
        return given[0]

    layer, x = quint8.bound(operator, packed, QParams(0.5, 3, UINT8)), torch.ones(2)
    assert layer(x) is x
    assert seen == [((x, packed, 0.5, 3), False)] and not packed.asked
    assert torch.overrides.has_torch_function((Overriding(),)), "outside of the layer it works as ever"


class Overriding:
    @classmethod
    def __torch_function__(cls, *given: object) -> Tensor:
        raise NotImplementedError
