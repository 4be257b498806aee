"""Quantization-aware training for the labs: batches of an epoch, and the int8 net."""

from __future__ import annotations

import pytest
import torch
from driving import LAB as DRIVING
from driving import trained_in_int8
from linear_quantization import LAB as QUANTIZATION
from small.small_mlps import Mlp
from speech.bits_after_training import bits_after_training
from subjects.measured_model import flops, parameters
from subjects.trained_net import BATCH, HAS_TRAINING, batches_of, trained_int8

from fxpasses.graph.stages import Stage, stage_of
from fxpasses.models.training.evaluation import evaluate_top1


def _data() -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.randn(5 * BATCH + 3, 8, generator=torch.Generator().manual_seed(0))
    return inputs, (inputs[:, 0] > 0).long()


def test_an_epoch_is_whole_batches_in_an_order_of_its_own() -> None:
    inputs, labels = _data()
    batches, steps = batches_of(inputs, labels)
    first, again, other = ([x for x, _ in batches(epoch)] for epoch in (0, 0, 1))
    assert steps == len(first) == 5 and all(len(x) == BATCH for x in first)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_the_questions_are_asked_where_the_toolkit_can_train() -> None:
    assert (bits_after_training in QUANTIZATION.sections) is HAS_TRAINING
    assert (trained_in_int8 in DRIVING.sections) is HAS_TRAINING


@pytest.mark.skipif(not HAS_TRAINING, reason="this fxpasses has no fxpasses.training")
@pytest.mark.parametrize("bits", [8, 4])
def test_a_trained_net_is_an_int8_net(bits: int) -> None:
    inputs, labels = _data()
    torch.manual_seed(0)
    net = Mlp(8, (16, 16), 2)
    batches, steps = batches_of(inputs, labels)
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for epoch in range(10):
        for x, y in batches(epoch):
            optimizer.zero_grad()
            torch.autograd.backward(torch.nn.functional.cross_entropy(net(x), y))
            optimizer.step()
    int8 = trained_int8(net.eval(), inputs[:BATCH], batches, steps, epochs=4.0, bits=bits)
    assert stage_of(int8) is Stage.QUANTIZED
    assert parameters(int8) == sum(p.numel() for p in net.parameters())
    assert flops(int8) == 2 * (8 * 16 + 16 * 16 + 16 * 2)
    assert evaluate_top1(int8, [(inputs, labels)]) >= evaluate_top1(net, [(inputs, labels)]) - 5
