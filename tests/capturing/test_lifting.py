"""Functional calls with constant weights become layers that use the same parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tiny_graphs import operators_of, outputs_of
from tiny_nets.net import OneInput
from torch import Tensor, fx, nn

from fxpasses.capturing.attempts import capture
from fxpasses.capturing.lifting import lift_layers, weight_path
from fxpasses.graph.ownership import constant_of
from fxpasses.graph.shapes import record_shapes
from fxpasses.quantization.numbers import ops

GENERATOR = torch.Generator().manual_seed(0)
aten = torch.ops.aten
Body = Callable[[Any, Tensor], object]


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=GENERATOR)


def parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(random(*shape))


def lifted(model: nn.Module, *inputs: Tensor) -> fx.GraphModule:
    """Graph of the model with its layers lifted and no other change."""
    gm = fx.GraphModule(model.eval(), fx.Tracer().trace(model))
    expected = outputs_of(gm, inputs)
    record_shapes(gm, inputs)
    lift_layers(gm)
    gm.graph.eliminate_dead_code()
    gm.graph.lint()
    gm.recompile()
    assert all(torch.equal(a, b) for a, b in zip(outputs_of(gm, inputs), expected, strict=True))
    return gm


def layers_of(gm: fx.GraphModule) -> list[nn.Module]:
    return [gm.get_submodule(str(n.target)) for n in gm.graph.nodes if n.op == "call_module"]


X = random(2, 6, 9, 7)
LAYERS: dict[str, tuple[Body, Tensor, nn.Module, dict[str, Tensor]]] = {
    "F.conv1d": (lambda n, x: F.conv1d(x, n.w, n.b, 2, 1), random(2, 6, 9), nn.Conv1d(6, 4, 3, 2, 1),
                 {"w": parameter(4, 6, 3), "b": parameter(4)}),
    "F.conv2d": (lambda n, x: F.conv2d(x, weight=n.w, groups=3, dilation=(2, 1)), X,
                 nn.Conv2d(6, 9, (3, 2), groups=3, dilation=(2, 1), bias=False), {"w": parameter(9, 2, 3, 2)}),
    "F.conv2d same": (lambda n, x: F.conv2d(x, n.w, padding="same"), X, nn.Conv2d(6, 4, 3, padding=1, bias=False),
                      {"w": parameter(4, 6, 3, 3)}),
    "torch.conv3d": (lambda n, x: torch.conv3d(x, n.w, n.b), random(1, 2, 4, 5, 6), nn.Conv3d(2, 3, 2),
                     {"w": parameter(3, 2, 2, 2, 2), "b": parameter(3)}),
    "F.conv_transpose1d": (lambda n, x: F.conv_transpose1d(x, n.w, n.b, 2, 1, 1), random(2, 6, 9),
                           nn.ConvTranspose1d(6, 4, 3, 2, 1, 1), {"w": parameter(6, 4, 3), "b": parameter(4)}),
    "F.conv_transpose2d": (lambda n, x: F.conv_transpose2d(x, n.w, None, stride=2, groups=2, dilation=2), X,
                           nn.ConvTranspose2d(6, 8, 3, 2, groups=2, dilation=2, bias=False),
                           {"w": parameter(6, 4, 3, 3)}),
    "F.conv_transpose3d": (lambda n, x: F.conv_transpose3d(x, n.w), random(1, 2, 3, 4, 5),
                           nn.ConvTranspose3d(2, 3, 2, bias=False), {"w": parameter(2, 3, 2, 2, 2)}),
    "F.linear": (lambda n, x: F.linear(x, n.w, n.b), X, nn.Linear(7, 4), {"w": parameter(4, 7), "b": parameter(4)}),
    "matmul": (lambda n, x: x @ n.w, X, nn.Linear(7, 4, bias=False), {"w": parameter(7, 4)}),
    "F.batch_norm": (lambda n, x: F.batch_norm(x, n.m, n.v, n.w, n.b, eps=1e-3), X, nn.BatchNorm2d(6, eps=1e-3),
                     {"w": parameter(6), "b": parameter(6), "m": random(6), "v": random(6).abs()}),
    "torch.batch_norm": (lambda n, x: torch.batch_norm(x, None, None, n.m, n.v, False, 0.2, 1e-5, False),
                         random(4, 6), nn.BatchNorm1d(6, momentum=0.2, affine=False),
                         {"m": random(6), "v": random(6).abs()}),
    "F.layer_norm": (lambda n, x: F.layer_norm(x, (9, 7), n.w, n.b), X, nn.LayerNorm((9, 7)),
                     {"w": parameter(9, 7), "b": parameter(9, 7)}),
    "F.layer_norm plain": (lambda n, x: F.layer_norm(x, [7], eps=1e-3), X,
                           nn.LayerNorm(7, 1e-3, elementwise_affine=False), {}),
    "F.layer_norm weight": (lambda n, x: F.layer_norm(x, (7,), n.w), X, nn.LayerNorm(7, bias=False),
                            {"w": parameter(7)}),
    "F.group_norm": (lambda n, x: F.group_norm(x, 3, n.w, n.b), X, nn.GroupNorm(3, 6),
                     {"w": parameter(6), "b": parameter(6)}),
    "F.embedding": (lambda n, x: F.embedding(x, n.w), torch.tensor([[3, 1]]), nn.Embedding(5, 4),
                    {"w": parameter(5, 4)}),
    "F.prelu": (lambda n, x: F.prelu(x, n.w), X, nn.PReLU(6), {"w": parameter(6)}),
    "Tensor.prelu": (lambda n, x: x.prelu(n.w), X, nn.PReLU(), {"w": parameter(1)}),
    "aten.conv2d": (lambda n, x: aten.conv2d.default(x, n.w, n.b, [2, 2], [1, 0]), X,
                    nn.Conv2d(6, 4, 3, 2, (1, 0)), {"w": parameter(4, 6, 3, 3), "b": parameter(4)}),
    "aten.conv2d one stride": (lambda n, x: aten.conv2d.default(x, n.w, None, [2]), X,
                               nn.Conv2d(6, 4, 3, 2, bias=False), {"w": parameter(4, 6, 3, 3)}),
    "aten.convolution": (
        lambda n, x: aten.convolution.default(x, n.w, n.b, [1, 1], [1, 1], [1, 1], False, [0, 0], 2), X,
        nn.Conv2d(6, 4, 3, 1, 1, groups=2), {"w": parameter(4, 3, 3, 3), "b": parameter(4)}),
    "aten.convolution transposed": (
        lambda n, x: aten.convolution.default(x, n.w, None, [2], [0], [1], True, [1], 1), random(2, 6, 9),
        nn.ConvTranspose1d(6, 4, 3, 2, output_padding=1, bias=False), {"w": parameter(6, 4, 3)}),
    "aten.conv_transpose2d": (lambda n, x: aten.conv_transpose2d.input(x, n.w, None, [2, 2]), X,
                              nn.ConvTranspose2d(6, 4, 3, 2, bias=False), {"w": parameter(6, 4, 3, 3)}),
    "aten.linear": (lambda n, x: aten.linear.default(x, n.w), X, nn.Linear(7, 4, bias=False), {"w": parameter(4, 7)}),
    "aten.addmm": (lambda n, x: aten.addmm.default(n.b, x, aten.t.default(n.w)), random(3, 7), nn.Linear(7, 4),
                   {"w": parameter(4, 7), "b": parameter(4)}),
    "aten.mm": (lambda n, x: aten.mm.default(x, aten.permute.default(n.w, [1, 0])), random(3, 7),
                nn.Linear(7, 4, bias=False), {"w": parameter(4, 7)}),
    "aten.batch_norm": (lambda n, x: aten.batch_norm.default(x, n.w, n.b, n.m, n.v, False, 0.1, 1e-5, False),
                        random(1, 6, 3, 4, 5), nn.BatchNorm3d(6),
                        {"w": parameter(6), "b": parameter(6), "m": random(6), "v": random(6).abs()}),
    "aten._native_batch_norm_legit_no_training": (
        lambda n, x: aten._native_batch_norm_legit_no_training.default(x, n.w, n.b, n.m, n.v, 0.1, 1e-5)[0], X,
        nn.BatchNorm2d(6), {"w": parameter(6), "b": parameter(6), "m": random(6), "v": random(6).abs()}),
    "aten.layer_norm": (lambda n, x: aten.layer_norm.default(x, [7], n.w, n.b, 1e-6), X, nn.LayerNorm(7, 1e-6),
                        {"w": parameter(7), "b": parameter(7)}),
    "aten.native_layer_norm": (lambda n, x: aten.native_layer_norm.default(x, [7], n.w, n.b, 1e-6)[0], X,
                               nn.LayerNorm(7, 1e-6), {"w": parameter(7), "b": parameter(7)}),
    "aten.group_norm": (lambda n, x: aten.group_norm.default(x, 2, n.w, n.b), X, nn.GroupNorm(2, 6),
                        {"w": parameter(6), "b": parameter(6)}),
    "aten.embedding": (lambda n, x: aten.embedding.default(n.w, x), torch.tensor([[3, 1]]), nn.Embedding(5, 4),
                       {"w": parameter(5, 4)}),
    "aten.prelu": (lambda n, x: aten.prelu.default(x, n.w), X, nn.PReLU(6), {"w": parameter(6)}),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_a_functional_call_becomes_its_layer(name: str) -> None:
    body, x, expected, parts = LAYERS[name]
    gm = lifted(OneInput(body, **parts), x)
    (layer,) = layers_of(gm)
    assert type(layer) is type(expected)
    assert repr(layer) == repr(expected)
    assert not layer.training
    assert not any(t.is_meta for t in (*layer.parameters(), *layer.buffers()))
    given = {id(p) for p in parts.values() if isinstance(p, nn.Parameter)}
    shared = [p for p in layer.parameters() if id(p) in given]
    assert len(shared) == len(given) if name != "matmul" else shared == []
    memory = {p.data_ptr() for p in parts.values()}
    assert all(p.data_ptr() in memory for p in layer.parameters())


REFUSED: dict[str, tuple[Body, Tensor, dict[str, nn.Module | Tensor]]] = {
    "weight made of the input": (lambda n, x: F.conv2d(x, x[:1].mean((2, 3), keepdim=True)), X, {}),
    "bias made of the input": (lambda n, x: F.linear(x, n.w, x.mean((0, 1, 2))), X, {"w": parameter(7, 7)}),
    "batch_norm in training": (lambda n, x: F.batch_norm(x, None, None, training=True), X, {}),
    "batch_norm of the batch": (lambda n, x: F.batch_norm(x, n.m * 1, n.m.abs(), training=True), X, {"m": random(6)}),
    "uneven weight": (lambda n, x: torch.addmm(n.b, x, n.w.t(), beta=2), random(3, 7),
                      {"w": parameter(4, 7), "b": parameter(4)}),
    "matrix bias": (lambda n, x: torch.addmm(n.b, x, n.w.t()), random(3, 7),
                    {"w": parameter(4, 7), "b": parameter(3, 4)}),
    "vector weight": (lambda n, x: F.linear(x, n.w), X, {"w": parameter(7)}),
    "matmul of three": (lambda n, x: x @ n.w, X, {"w": parameter(1, 7, 3)}),
    "matmul from the left": (lambda n, x: n.w @ x, X, {"w": parameter(3, 9)}),
    "embedding that renormalises": (lambda n, x: F.embedding(x, n.w, max_norm=99.0), torch.tensor([1]),
                                    {"w": nn.Parameter(random(5, 4), requires_grad=False)}),
    "weight of whole numbers": (lambda n, x: F.embedding(x, n.w), torch.tensor([1]), {"w": torch.arange(8).view(4, 2)}),
    "statistics that are read": (lambda n, x: (lambda y: y[0] + y[1].sum())(aten.native_layer_norm.default(
        x, [7], None, None, 1e-5)), X, {}),
    "stride from the input": (lambda n, x: F.conv2d(x, n.w, stride=x.size(0)), X, {"w": parameter(4, 6, 3, 3)}),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_other_calls_stay_as_they_are(name: str) -> None:
    body, x, parts = REFUSED[name]
    assert layers_of(lifted(OneInput(body, **parts), x)) == []


def test_a_dequantized_weight_is_no_constant() -> None:
    """In a QUANTIZED graph weights are int8 buffers behind a call; lifting must not undo that."""
    weight = torch.randint(-128, 127, (4, 7), dtype=torch.int8)
    model = OneInput(lambda n, x: F.linear(x, n.w), w=random(4, 7))
    gm = fx.GraphModule(model, fx.Tracer().trace(model))
    gm.w = weight
    (attribute,) = (n for n in gm.graph.nodes if n.op == "get_attr")
    with gm.graph.inserting_after(attribute):
        dequantized = gm.graph.call_function(ops.dequantize, (attribute, 0.1, 0))
    attribute.replace_all_uses_with(dequantized, delete_user_cb=lambda user: user is not dequantized)
    record_shapes(gm.eval(), (X,))
    lift_layers(gm)
    assert layers_of(gm) == []
    assert torch.int8 in {b.dtype for b in gm.buffers()}


def test_calls_on_one_weight_share_one_layer() -> None:
    model = OneInput(lambda n, x: F.linear(x, n.w) + F.linear(x, n.w) + F.linear(x, n.v), w=parameter(4, 7),
                     v=parameter(4, 7))  # fmt: skip
    first, second, other = layers_of(lifted(model, X))
    assert first is second
    assert first is not other


def test_calls_with_other_settings_have_their_own_layer_and_the_same_weight() -> None:
    model = OneInput(lambda n, x: F.conv2d(x, n.w).mean() + F.conv2d(x, n.w, stride=2).mean(), w=parameter(4, 6, 3, 3))
    first, second = layers_of(lifted(model, X))
    assert first is not second
    assert first.weight is second.weight is model.w


class Norm(nn.LayerNorm):
    """Subclass of LayerNorm that calls the function itself, like torchvision's LayerNorm2d."""

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)


class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.in_proj_weight = parameter(12, 7)
        self.table = parameter(4, 7)
        self.scale = parameter(1)

    def forward(self, x: Tensor) -> Tensor:
        query, both = F.linear(x, self.in_proj_weight[:4]), F.linear(x, self.in_proj_weight)
        return both[..., :4] + query * self.scale + F.linear(x, self.table)


def names_of(gm: fx.GraphModule) -> list[str]:
    return [str(n.target) for n in gm.graph.nodes if n.op == "call_module"]


@pytest.mark.parametrize("method", ["trace", "export"])
def test_a_layer_gets_the_path_its_weight_had(method: Any) -> None:
    blocks = nn.Sequential(nn.Sequential(nn.Conv2d(6, 6, 1), Norm(6)), nn.Linear(6, 4)).eval()
    gm = capture(blocks, X, method=method)
    assert names_of(gm) == ["0.0", "0.1", "1"]
    assert type(gm.get_submodule("0.1")) is nn.LayerNorm
    assert dict(gm.named_parameters()).keys() == dict(blocks.named_parameters()).keys()
    assert all(gm.get_parameter(name) is p for name, p in blocks.named_parameters())


@pytest.mark.parametrize("method", ["trace", "export"])
def test_a_holder_with_other_things_keeps_them(method: Any) -> None:
    packed = Packed()
    gm = capture(nn.Sequential(packed).eval(), X, method=method)
    assert sorted(names_of(gm)) == ["0.in_proj", "0.in_proj_1", "0.table_linear"]
    assert gm.get_parameter("0.scale") is packed.scale
    assert dict(gm.named_parameters(remove_duplicate=False)).keys() == {
        "0.scale", "0.in_proj.weight", "0.in_proj_1.weight", "0.table_linear.weight"
    }  # fmt: skip
    memory = packed.in_proj_weight.untyped_storage().data_ptr()
    assert all(gm.get_parameter(f"0.{n}.weight").untyped_storage().data_ptr() == memory
               for n in ("in_proj", "in_proj_1"))  # fmt: skip


def test_a_module_of_the_users_is_never_written_to() -> None:
    model = nn.ModuleDict({"table": nn.Embedding(5, 7)})
    net = OneInput(lambda n, x: F.linear(n.parts["table"](x), n.parts["table"].weight), parts=model).eval()
    before = set(dict(net.named_modules()))
    gm = capture(net, torch.tensor([[1, 3]]))
    assert operators_of(gm) == ["embedding", "linear"]
    assert set(dict(net.named_modules())) == before
    assert gm.get_parameter(f"{names_of(gm)[1]}.weight") is model["table"].weight


def test_meta_tensors_and_the_random_state_are_left_alone() -> None:
    torch.manual_seed(3)
    lifted(OneInput(lambda n, x: F.conv2d(x, n.w), w=parameter(4, 6, 3, 3)), X)
    after = torch.rand(())
    torch.manual_seed(3)
    assert torch.equal(after, torch.rand(()))


def test_constants_are_parameters_buffers_and_views_of_them() -> None:
    weight = parameter(7, 4)
    model = OneInput(lambda n, x: (n.w.t().chunk(2)[1], n.w.exp(), x + n.w), w=weight)
    gm = fx.GraphModule(model, fx.Tracer().trace(model))
    nodes = {n.name: n for n in gm.graph.nodes}
    part = constant_of(gm, nodes["getitem"])
    assert part is not None
    assert torch.equal(part, weight.t()[2:])
    assert part.untyped_storage().data_ptr() == weight.untyped_storage().data_ptr()
    assert constant_of(gm, nodes["w"]) is weight
    assert weight_path(nodes["getitem"]) == "w"
    for other in (nodes["exp"], nodes["x"], nodes["add"], 3, None):
        assert constant_of(gm, other) is None
    assert weight_path(nodes["add"]) is None
