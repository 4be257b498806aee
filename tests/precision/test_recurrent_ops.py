"""Recurrent operators compared with torch's own layers, and with explicit steps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fxpasses.precision import recurrent_ops
from fxpasses.precision.ops import matmul_dynamic
from fxpasses.precision.recurrent_layers import DynamicGRU, DynamicLSTM, dynamic_recurrent
from fxpasses.precision.recurrent_ops import lstm_dynamic
from fxpasses.quantization.numbers.qparams import INT8_SYMMETRIC


def test_one_lstm_step_written_out() -> None:
    torch.manual_seed(0)
    layer = DynamicLSTM(nn.LSTM(4, 3), INT8_SYMMETRIC)
    x, h, c = torch.randn(1, 2, 4), torch.randn(1, 2, 3), torch.randn(1, 2, 3)
    held = [
        layer.get_buffer(n)[0] for n in ("weight_0", "weight_0_scale", "recurrent_0", "recurrent_0_scale", "bias_0")
    ]
    weight, weight_scale, state, state_scale, bias = held
    a = matmul_dynamic(x[0], weight, weight.sum(0, dtype=torch.int32), weight_scale)
    a = a + matmul_dynamic(h[0], state, state.sum(0, dtype=torch.int32), state_scale) + bias[:12] + bias[12:]
    i, o, f, new = a.chunk(4, -1)
    expected = f.sigmoid() * c[0] + i.sigmoid() * new.tanh()
    y, h_last, c_last = lstm_dynamic(x, h, c, *(t[None] for t in held))
    torch.testing.assert_close(c_last[0], expected)
    torch.testing.assert_close(y[0], o.sigmoid() * expected.tanh())
    assert torch.equal(h_last[0], y[0])


def test_states_left_out_are_zero() -> None:
    torch.manual_seed(0)
    layer, x, zeros = DynamicLSTM(nn.LSTM(4, 3), INT8_SYMMETRIC), torch.randn(2, 5, 4), torch.zeros(1, 5, 3)
    assert torch.equal(layer(x)[0], layer(x, (zeros, zeros))[0])


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_sums_of_floats_are_those_of_integers(kind: type[nn.LSTM | nn.GRU], monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    layer, x = dynamic_recurrent(kind(9, 500), INT8_SYMMETRIC), torch.randn(4, 3, 9)
    with torch.no_grad():
        floats = layer(x)[0]
        monkeypatch.setattr(recurrent_ops, "MOST_EXACT", 0)
        assert torch.equal(layer(x)[0], floats)


def test_states_that_are_not_finite_stay_so() -> None:
    layer = DynamicLSTM(nn.LSTM(4, 3), INT8_SYMMETRIC)
    broken = torch.full((1, 2, 3), torch.nan)
    assert layer(torch.randn(2, 2, 4), (broken, torch.zeros(1, 2, 3)))[0].isnan().all()


def test_exact_weights_and_inputs_give_the_float_gru() -> None:
    """Weights that lie on their grid, and one step from a state of zeros whose product is the bias alone."""
    gru = nn.GRU(3, 2, bidirectional=True)
    with torch.no_grad():
        for name, p in gru.named_parameters():
            p.copy_(torch.full_like(p, 0.5) if "weight" in name else torch.linspace(-1, 1, p.numel()))
    x = torch.tensor([[[255.0, 17.0, 0.0]]])
    expected, last = gru(x)
    found, found_last = DynamicGRU(gru, INT8_SYMMETRIC)(x)
    torch.testing.assert_close(found, expected.detach())
    torch.testing.assert_close(found_last, last.detach())
