"""Public functions, called as a user calls them."""

from __future__ import annotations

import pytest
import torch
from contracts import fingerprint
from tiny_graphs import calibration_data, fresh_inputs, outputs_of
from tiny_nets.all_nets import TINY
from torch import nn

import fxpasses as fx
from fxpasses.errors import FxPassesError, GraphError, InputError
from fxpasses.graph.stages import Stage, stage_of
from fxpasses.quantization.api import Override

NET = TINY["residual_block"]


def test_quantize_is_the_steps_in_a_row() -> None:
    data = calibration_data(NET)
    graph = fx.fuse(fx.capture(NET.build(), NET.example_inputs()))
    graph = fx.equalize(graph, data)
    graph = fx.observe(graph, fx.QuantConfig(target="x86"))
    fx.calibrate(graph, data)
    int8 = fx.convert(graph)
    at_once = fx.quantize(NET.build(), NET.example_inputs(), data, fx.QuantConfig(target="x86"))
    assert fingerprint(at_once) == fingerprint(int8)
    assert stage_of(at_once) is Stage.QUANTIZED


def test_a_tensor_will_do_for_a_tuple_of_one() -> None:
    (x,) = NET.example_inputs()
    a = fx.quantize(NET.build(), x, [x])
    b = fx.quantize(NET.build(), (x,), [(x,)])
    assert fingerprint(a) == fingerprint(b)


@pytest.mark.parametrize("name", ["residual_block", "shared_conv_one_bn", "squeeze_excite", "embedding_linear"])
def test_the_users_model_is_left_alone(name: str) -> None:
    """Parameters, buffers, mode and outputs do not change, also after the int8 graph has run."""
    net = TINY[name]
    model = net.build()
    state = {k: v.clone() for k, v in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    grads = [p.requires_grad for p in model.parameters()]
    inputs = fresh_inputs(net, 4)
    before = outputs_of(model, inputs)
    int8 = fx.quantize(model, net.example_inputs(), calibration_data(net))
    outputs_of(int8, inputs)
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items()) and len(state) == len(
        model.state_dict()
    )
    assert [m.training for m in model.modules()] == modes
    assert [p.requires_grad for p in model.parameters()] == grads
    assert all(torch.equal(a, b) for a, b in zip(before, outputs_of(model, inputs), strict=True))
    ours = {t.data_ptr() for t in (*int8.parameters(), *int8.buffers())}
    assert not ours & {t.data_ptr() for t in (*model.parameters(), *model.buffers())}


def test_the_inputs_are_left_alone() -> None:
    net = TINY["relu_in_place_spellings"]
    inputs, data = net.example_inputs(), calibration_data(net)
    kept = [x.clone() for x in (*inputs, *(x for batch in data for x in batch))]
    fx.quantize(net.build(), inputs, data)
    assert all(torch.equal(a, b) for a, b in zip(kept, (*inputs, *(x for b in data for x in b)), strict=True))


def test_the_same_data_give_the_same_graph() -> None:
    a, b = (fx.quantize(NET.build(), NET.example_inputs(), calibration_data(NET)) for _ in range(2))
    assert fingerprint(a) == fingerprint(b)


def test_other_batch_sizes_than_the_captured_one() -> None:
    int8 = fx.quantize(NET.build(), NET.example_inputs(), calibration_data(NET))
    one, many = fresh_inputs(NET, 3, 1), fresh_inputs(NET, 3, 5)
    many = tuple(torch.cat([a, b[1:]]) for a, b in zip(one, many, strict=True))
    assert torch.equal(outputs_of(int8, many)[0][:1], outputs_of(int8, one)[0])


def test_settings_reach_the_graph() -> None:
    config = fx.QuantConfig(target="cuda", overrides=(Override("linear", keep_float=True),))
    net = TINY["linear_relu_linear"]
    int8 = fx.quantize(net.build(), net.example_inputs(), calibration_data(net), config)
    assert sum(isinstance(m, nn.Linear) for m in int8.modules()) == 2


def test_no_data() -> None:
    with pytest.raises(InputError, match=r"calibration data\n.*it is empty"):
        fx.quantize(NET.build(), NET.example_inputs(), [])


def test_a_model_in_training_mode() -> None:
    with pytest.raises(GraphError, match=r"(?s)training mode.*fix: capture\(model.eval\(\)"):
        fx.quantize(NET.build().train(), NET.example_inputs(), calibration_data(NET))


def test_steps_out_of_order() -> None:
    graph = fx.capture(NET.build(), NET.example_inputs())
    with pytest.raises(GraphError, match=r"(?s)convert got a graph in stage FLOAT.*fix: graph = fx.observe"):
        fx.convert(graph)
    with pytest.raises(GraphError, match=r"(?s)calibrate got a graph in stage FLOAT.*fix: graph = fx.observe"):
        fx.calibrate(graph, [])
    with pytest.raises(GraphError, match=r"(?s)observe got a ResidualBlock that was not captured.*fix: .*fx.capture"):
        fx.observe(TINY["residual_block"].build()[0])  # type: ignore[index]  # a Sequential


def test_every_error_of_ours_has_one_base() -> None:
    with pytest.raises(FxPassesError):
        fx.QuantConfig(target="abacus")
