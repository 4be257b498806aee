"""torch.export's program becomes a plain graph: the model's call, the model's parameters, nothing of export's own."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from tiny_graphs import outputs_of
from tiny_nets.all_nets import REFUSED, TINY
from tiny_nets.convolutions import conv
from tiny_nets.net import IMAGE, OneInput, TwoInputs
from torch import Tensor, fx, nn

from fxpasses.capturing.attempts import capture
from fxpasses.capturing.torch_export import export_graph, plain_graph
from fxpasses.errors import GraphError, source_line
from fxpasses.signature.free_sizes import BATCH
from fxpasses.signature.samples import batch_dims

IMAGES = torch.randn(IMAGE, generator=torch.Generator().manual_seed(0))


def targets(gm: fx.GraphModule) -> list[str]:
    return [str(n.target) for n in gm.graph.nodes if n.op == "call_function"]


def test_composite_operators_are_kept_and_nothing_is_in_place() -> None:
    model = nn.Sequential(
        conv(bias=False), nn.BatchNorm2d(8), nn.Hardswish(inplace=True), nn.Flatten(2), nn.Linear(35, 7),
        nn.LayerNorm(7), nn.ReLU6(inplace=True), nn.SiLU(inplace=True),
    ).eval()  # fmt: skip
    gm = export_graph(model, (IMAGES,))
    names = [t.split(".")[1] for t in targets(gm)]
    assert names == ["conv2d", "batch_norm", "hardswish", "flatten", "linear", "layer_norm", "hardtanh", "silu"]
    assert all(torch.equal(a, b) for a, b in zip(outputs_of(gm, (IMAGES,)), outputs_of(model, (IMAGES,)), strict=True))


def test_the_graph_is_plain() -> None:
    gm = export_graph(TINY["two_inputs"].build(), TINY["two_inputs"].example_inputs())
    assert [n.target for n in gm.graph.nodes if n.op == "placeholder"] == ["x", "y"]
    assert not [n for n in gm.graph.nodes if n.op == "call_module"]
    assert "pytree" not in gm.code
    assert not any("assert" in t or "guard" in t for t in targets(gm))
    assert gm.meta == {}
    assert all(set(n.meta) <= {"stack_trace", "nn_module_stack"} for n in gm.graph.nodes)
    x, y = TINY["two_inputs"].example_inputs()
    assert torch.equal(gm(x=x, y=y), TINY["two_inputs"].build()(x, y))


def test_parameters_are_the_models_own_under_their_names() -> None:
    model = TINY["residual_block"].build()
    gm = export_graph(model, (IMAGES,))
    mine, theirs = dict(gm.named_parameters()), dict(model.named_parameters())
    assert mine.keys() == theirs.keys()
    assert all(mine[name] is theirs[name] for name in mine)


def test_writing_through_a_view_is_functionalised() -> None:
    net = TINY["in_place_relu_on_view"]
    gm = export_graph(net.build(), net.example_inputs())
    assert any("slice_scatter" in t for t in targets(gm))
    assert not any("_." in t for t in targets(gm))
    assert any("conv2d" in t for t in targets(gm))


class Filled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        mask = x.new_zeros(9, 7)
        mask[2:4] = 1.0
        return x * mask + x.new_full((7,), 3.0) + torch.ones_like(mask)


def test_what_only_borrows_a_type_reads_no_input() -> None:
    model = Filled().eval()
    gm = export_graph(model, (IMAGES,))
    (x,) = (n for n in gm.graph.nodes if n.op == "placeholder")
    assert [str(n.target) for n in x.users] == ["aten.mul.Tensor"]
    assert torch.equal(gm(IMAGES), model(IMAGES))


class FilledWithAValue(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        largest: Any = x.max()  # torch takes a tensor of one value, and does not say so
        return x + x.new_full((7,), largest)


def test_what_a_tensor_is_filled_with_may_be_a_value_of_the_graph() -> None:
    model = FilledWithAValue().eval()
    gm = export_graph(model, (IMAGES,))
    assert torch.equal(gm(IMAGES + 1), model(IMAGES + 1))


def test_no_grad_regions_are_flat() -> None:
    def body(net: Any, x: Tensor) -> Tensor:
        with torch.no_grad():
            y: Tensor = net.conv(x)
        return y * 2

    assert targets(export_graph(OneInput(body, conv=conv()).eval(), (IMAGES,))) == [
        "aten.conv2d.default", "aten.mul.Tensor"
    ]  # fmt: skip


def test_attention_is_opened_and_the_switch_put_back() -> None:
    model = OneInput(lambda net, x: net.mha(x, x, x)[0], mha=nn.MultiheadAttention(8, 2, batch_first=True)).eval()
    before = torch.backends.mha.get_fastpath_enabled()
    gm = export_graph(model, (torch.randn(2, 5, 8),))
    assert sum("linear" in t for t in targets(gm)) == 2
    assert torch.backends.mha.get_fastpath_enabled() == before
    other = (torch.randn(3, 5, 8),)
    torch.testing.assert_close(outputs_of(gm, other), outputs_of(model, other))


def test_nodes_know_the_users_line() -> None:
    gm = export_graph(TINY["squeeze_excite"].build(), (IMAGES,))
    lines = [source_line(n) for n in gm.graph.nodes if n.op == "call_function"]
    assert all(line and "blocks.py" in line for line in lines)


def test_failure_names_the_users_line_and_the_reason() -> None:
    net = REFUSED["data_dependent_if"]
    with pytest.raises(GraphError) as caught:
        export_graph(net.build(), net.example_inputs())
    assert "DataDependentIf cannot be exported" in str(caught.value)
    assert 'refused.py", line' in str(caught.value)
    assert "torch.export: Could not guard on data-dependent expression" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 5


def test_failure_prints_and_logs_nothing(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    net = REFUSED["data_dependent_if"]
    with caplog.at_level(logging.INFO), pytest.raises(GraphError):
        export_graph(net.build(), net.example_inputs())
    out, err = capfd.readouterr()
    assert out == err == ""
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []
    assert logging.root.manager.disable == 0


def test_a_batch_that_python_counts_is_refused_unless_it_is_fixed() -> None:
    model = OneInput(lambda net, x: net.conv(x).reshape(len(x), -1), conv=conv()).eval()
    with pytest.raises(GraphError, match=r"fixes the batch size[\s\S]*counts, loops over or compares the batch"):
        export_graph(model, (IMAGES,))
    gm = export_graph(model, (IMAGES,), dynamic_batch=False)
    assert torch.equal(gm(IMAGES), model(IMAGES))


def test_inputs_without_a_batch_stay_as_they_are() -> None:
    model = TwoInputs(lambda net, x, y: net.conv(x) * y, conv=conv()).eval()
    gm = export_graph(model, (IMAGES[:1], torch.tensor(2.0)))
    assert torch.equal(gm(IMAGES, torch.tensor(3.0)), model(IMAGES, torch.tensor(3.0)))


def test_plain_graph_of_a_program_that_was_loaded() -> None:
    model = TINY["dict_output"].build()
    program = torch.export.export(model, (IMAGES,))
    gm = plain_graph(program, program.module(), (IMAGES,))
    assert sorted(gm(IMAGES)) == ["features", "logits"]


class Summed(nn.Module):
    """Running sums over time between two linear layers, of ``[T, B, C]``."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(torch.cumsum(self.first(x), 0))
        return out


def test_a_batch_behind_the_time_is_found() -> None:
    gm = capture(Summed().eval(), torch.randn(5, 3, 6), method="export")
    assert batch_dims(gm) == (1,)
    assert gm(torch.randn(5, 7, 6)).shape == (5, 7, 3)


def test_a_batch_that_is_named_may_stay_open_where_dimension_0_is_fixed() -> None:
    class Fixed(Summed):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x + torch.arange(5.0)[:, None, None])

    x = torch.randn(5, 3, 6)
    with pytest.raises(GraphError, match="fixes the batch size"):
        export_graph(Fixed().eval(), (x,))
    assert export_graph(Fixed().eval(), (x,), dynamic=({1: BATCH},))(torch.randn(5, 7, 6)).shape == (5, 7, 3)


def test_a_constant_made_in_forward_is_no_state() -> None:
    model = OneInput(lambda net, x: net.conv(x) * torch.tensor(0.5), conv=conv()).eval()
    gm = capture(model, IMAGES, method="export")
    assert not [n for n in gm.graph.nodes if "detach" in str(n.target)]
    assert torch.equal(gm(IMAGES), model(IMAGES))
