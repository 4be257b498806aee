"""Lab 1's inference with integers alone: shifts round correctly, and the result equals the
toolkit's exact reference.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from by_hand.integer_chain import Grid, bits_needed, by_course_shift, by_long_multiplier, bytes_of
from by_hand.toolkit_chain import integer_net_of
from speech.keyword_net import KeywordNet
from torch import Tensor, nn

import fxpasses as fx
from fxpasses.errors import InputError
from fxpasses.export.integer_tensors import torch_integers
from fxpasses.models.nets.lenet import LeNet

SLOW_CASES = ((0, "x86-avx2"), (0, "arm"), (1, "x86"), (1, "arm"))
BYTES = Grid(1.0, 10, 0, 255)


def test_a_shift_rounds_down_and_half_a_step_first_to_nearest() -> None:
    acc = np.array([[3, 5, -3, 1000]], np.int32)
    assert by_course_shift(0.5, BYTES)(acc).tolist() == [[11, 12, 8, 255]]
    # 1.5 and 2.5 are ties, which tie-free scales do not have; here they go up.
    assert by_long_multiplier(0.5, BYTES)(acc).tolist() == [[12, 13, 9, 255]]


def test_the_course_multiplier_has_sixteen_bits_behind_the_point() -> None:
    assert int(by_course_shift(0.0005, BYTES).multiplier) == 33
    assert (by_long_multiplier([0.0005, 0.7], BYTES).multiplier >= 2**30).all()
    assert (by_long_multiplier([0.0005, 0.7], BYTES).multiplier < 2**31).all()


def _random_net(seed: int) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(seed)
    net: nn.Module = LeNet() if seed % 2 else KeywordNet()
    shape = (1, 28, 28) if seed % 2 else (1, 49, 40)
    return net.eval(), torch.randn(24, *shape)


@pytest.mark.parametrize(
    ("seed", "target"),
    [
        (0, "x86"),
        (1, "x86-avx2"),
        *(pytest.param(seed, target, marks=pytest.mark.slow) for seed, target in SLOW_CASES),
    ],
)
def test_integers_and_logits_are_those_of_the_exact_reference(seed: int, target: str) -> None:
    net, inputs = _random_net(seed)
    int8 = fx.quantize(net, (inputs[:2],), [inputs[:16]], fx.QuantConfig(target=target))
    found, logits = integer_net_of(int8).tensors(inputs[16:].numpy())
    reference = fx.export.to_torch(int8, "reference")
    with torch.no_grad():
        expected, result = torch_integers(reference, (inputs[16:],)), reference(inputs[16:])
    assert len(found) == (6 if seed else 2)
    for name, q in found.items():
        assert torch.equal(torch.from_numpy(q), expected[name].int()), name
    assert torch.equal(torch.from_numpy(logits).view(torch.int32), result.view(torch.int32))


def test_size_and_width_of_sums() -> None:
    net, inputs = _random_net(0)
    chain = integer_net_of(fx.quantize(net, (inputs[:2],), [inputs], fx.QuantConfig()))
    assert bytes_of(chain) == 8 * 80 + 4 * 8 + 4000 * 10 + 4 * 10
    assert 12 <= bits_needed(chain, inputs.numpy()) <= 32


def test_other_graphs_are_refused() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(18, 2)).eval()
    x = torch.randn(4, 1, 8, 8)
    with pytest.raises(InputError, match="in a chain of integers"):
        integer_net_of(fx.quantize(net, (x,), [x], fx.QuantConfig()))
    with pytest.raises(InputError, match="does not end in one linear layer"):
        integer_net_of(fx.quantize(nn.Sequential(net[0]).eval(), (x,), [x], fx.QuantConfig()))
