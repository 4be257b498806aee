"""``load`` reads every file of ``save``: FLOAT graphs, operators of torchvision, and sizes that depend on values."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from int8_files import are_equal, inputs_of
from tiny_graphs import X86, captured, fused, outputs_of, quantize_net
from tiny_nets.all_nets import TINY
from tiny_nets.share import each_net
from torch import Tensor, fx, nn

import fxpasses
from fxpasses import pruning
from fxpasses.errors import GraphError, InputError
from fxpasses.export import load, save, to_torch
from fxpasses.graph.stages import Stage, graph_facts, stage_of

FLOAT = ("conv_bn_relu", "functional_bn", "conv_transpose2d_bn", "shared_conv_and_bn", "dict_output", "two_inputs",
         "channel_shuffle", "window_attention", "embedding_linear", "prelu_per_channel", "stack_unbind",
         "split_uneven", "interpolate_bilinear", "layer_norm")  # fmt: skip
ROUNDING = 1e-6
"""Rounding error relative to the largest value: the kernels are the same, but the memory layout of
weights may differ.
"""


def _close(found: list[Tensor], expected: list[Tensor]) -> bool:
    return all(
        a.shape == b.shape and torch.allclose(a, b, rtol=0, atol=ROUNDING * float(b.abs().max()))
        for a, b in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("name", each_net(FLOAT))
def test_a_float_graph_goes_on_where_it_was(name: str, tmp_path: Path) -> None:
    gm = captured(name)
    again = load(save(gm, tmp_path / "model.pt2"))
    assert stage_of(again) is Stage.FLOAT and not again.training
    found, expected = graph_facts(again), graph_facts(gm)
    assert (found.example_inputs, found.example_ranges) == (expected.example_inputs, expected.example_ranges)
    for batch in (1, 3):
        inputs = inputs_of(name, batch)
        assert _close(outputs_of(again, inputs), outputs_of(gm, inputs))
        assert _close(outputs_of(fxpasses.fuse(again), inputs), outputs_of(fused(name), inputs))


@pytest.mark.parametrize("name", ["conv_bn_relu", "channel_shuffle", "layer_norm"])
def test_a_float_graph_that_was_loaded_is_quantized_to_the_same(name: str, tmp_path: Path) -> None:
    again = fxpasses.fuse(load(save(captured(name), tmp_path / "model.pt2")))
    observing, expected = fxpasses.observe(again, X86), fxpasses.observe(fused(name), X86)
    for each in (observing, expected):
        fxpasses.calibrate(each, [inputs_of(name, 4)])
    inputs = inputs_of(name)
    assert are_equal(outputs_of(fxpasses.convert(observing), inputs), outputs_of(fxpasses.convert(expected), inputs))


@cache
def _pruned() -> fx.GraphModule:
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.Flatten(), nn.Linear(6 * 15, 4)]
    gm = fxpasses.capture(nn.Sequential(*layers).eval(), torch.randn(2, 3, 9, 7))
    return _half_of(gm)


def _half_of(gm: fx.GraphModule) -> fx.GraphModule:
    removal = pruning.choose_channels(pruning.find_dependencies(gm), 0.5, pruning.channel_scores(gm, "l1"))
    return pruning.shrink(removal)


def test_a_pruned_graph_finds_its_way_out_and_back(tmp_path: Path) -> None:
    gm, x = _pruned(), torch.randn(5, 3, 9, 7)
    again = load(save(gm, tmp_path / "model.pt2"))
    assert torch.equal(again(x), gm(x))
    shapes = {name: tuple(p.shape) for name, p in gm.named_parameters()}
    assert {name: tuple(p.shape) for name, p in again.named_parameters()} == shapes
    again.train()(x).sum().backward()
    assert all(p.grad is not None for p in again.parameters())
    assert _half_of(again.eval())(x).shape == (5, 4)


class _Spatial(nn.Module):
    """A convolution, followed by the operator under test; ``[B, 3, 9, 7]``."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.offset = nn.Conv2d(4, 18, 3, padding=1)
        self.deform = nn.Parameter(torch.randn(5, 4, 3, 3))
        self.function = function

    def forward(self, x: Tensor) -> Any:
        x = self.conv(x)
        if self.function is _deformed:
            return torchvision.ops.deform_conv2d(x, self.offset(x) * 0.3, self.deform, padding=1)
        return self.function(x)


def _deformed(x: Tensor) -> Tensor:
    return x


def _kept_boxes(x: Tensor) -> Tensor:
    rows = x.flatten(2).mean(0)[:, :10].T.contiguous()
    boxes = torch.cat([rows[:, :2], rows[:, :2] + rows[:, 2:].abs() + 0.1], 1)
    return boxes[torchvision.ops.nms(boxes, rows.sum(1), 0.5)]


CASES: dict[str, Callable[[Tensor], Any]] = {
    "deformable convolution": _deformed,
    "nms": _kept_boxes,
    "rows of a mask": lambda x: x.mean((2, 3))[x.mean((1, 2, 3)) > -10],
    "values of a mask": lambda x: x[x > 0],
    "masked_select": lambda x: torch.masked_select(x, x > 0.1),
    "nonzero": lambda x: torch.nonzero(x > 0),
    "two masks of one": lambda x: x[x > 0] * x.abs()[x > 0],
    "unique": lambda x: torch.unique((x > 0).long() + 3),
    "max unpool": lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), [2, 2], output_size=x.shape[-2:]),
    "max unpool in 1-D": lambda x: F.max_unpool1d(*F.max_pool1d(x[..., :4, 0], 2, return_indices=True), [2]),
    "index_put": lambda x: x.masked_fill(x > 0, 2.0).clamp(max=1.5),
    "quantile": lambda x: torch.quantile(x.flatten(1), 0.3, dim=1),
    "linear algebra": lambda x: torch.linalg.inv(x[:, :, :4, :4] + 9 * torch.eye(4)),
    "an FFT of all dimensions": lambda x: torch.fft.fftn(x).abs(),
    "kthvalue": lambda x: torch.kthvalue(x, 2).values,
    "logcumsumexp": lambda x: torch.logcumsumexp(x, 2),
    "bessel function": lambda x: torch.special.i0e(x),
    "scatter_reduce": lambda x: torch.zeros(1, 1, 1, 1).expand_as(x).scatter_reduce(1, (x > 0).long(), x, "amax"),
    "count_nonzero": lambda x: torch.count_nonzero(x > 0, dim=1),
    "masked_scatter": lambda x: x.masked_scatter(x > 0, x.flatten()),
    "trace": lambda x: torch.stack([x[0, 0, :4, :4].trace(), x.std()]),
}


def _model(name: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return _Spatial(CASES[name]).eval()


@pytest.mark.parametrize("name", sorted(CASES))
@pytest.mark.filterwarnings("ignore:captured for the example's batch size only")
def test_a_graph_of_other_operators(name: str, tmp_path: Path) -> None:
    x = torch.randn(3, 3, 9, 7, generator=torch.Generator().manual_seed(6))
    model = _model(name)
    gm = fxpasses.capture(model, x)
    if name == "quantile" and torch.__version__.startswith("2.11."):
        with pytest.raises(GraphError, match=r"torch\.export: aten\.equal"):  # its quantile wants fixed sizes
            save(gm, tmp_path / "model.pt2")
        return
    again = load(save(gm, tmp_path / "model.pt2"))
    assert _close(outputs_of(again, (x,)), outputs_of(model, (x,)))


@pytest.mark.parametrize("name", ["deformable convolution", "max unpool", "rows of a mask"])
def test_the_same_in_int8(name: str, tmp_path: Path) -> None:
    x = torch.randn(3, 3, 9, 7, generator=torch.Generator().manual_seed(7))
    gm = fxpasses.quantize(_model(name), x, [x], X86)
    again = load(save(gm, tmp_path / "model.pt2"))
    assert are_equal(outputs_of(again, (x,)), outputs_of(gm, (x,)))
    assert are_equal(outputs_of(to_torch(again, "x86"), (x,)), outputs_of(to_torch(gm, "x86"), (x,)))


def _pooled(x: Tensor) -> Tensor:
    boxes = torch.cat([torch.zeros_like(x[:2, 0, 0, :1]), x[:2, 0, 0, :2].abs(), 3 + x[:2, 0, 0, :2].abs()], 1)
    found: Tensor = torch.ops.torchvision.roi_align(x, boxes, 1.0, 2, 2, -1, False)
    return found


def test_an_operator_that_indexes_unchecked_is_taken_by_name_only(tmp_path: Path) -> None:
    x = torch.randn(3, 3, 9, 7)
    gm = fxpasses.capture(_Spatial(_pooled).eval(), x)
    names = ["torchvision.roi_align"]
    with pytest.raises(InputError, match=r"name them to both: save\(graph, path, operators=\['torchvision.roi_align'"):
        save(gm, tmp_path / "model.pt2")
    path = save(gm, tmp_path / "model.pt2", operators=names)
    with pytest.raises(InputError, match="not on the list of operators"):
        load(path)
    assert torch.equal(load(path, operators=names)(x), gm(x))


def test_a_graph_whose_batch_is_fixed(tmp_path: Path) -> None:
    gm, inputs = quantize_net(TINY["cat_rows"]), TINY["cat_rows"].example_inputs()
    torch.save(gm, tmp_path / "model.pt")
    pickled = torch.load(tmp_path / "model.pt", weights_only=False)
    for again in (load(save(gm, tmp_path / "model.pt2")), pickled):
        assert are_equal(outputs_of(again, inputs), outputs_of(gm, inputs))


def test_what_torch_cannot_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise RuntimeError("no such guard")

    gm = quantize_net(TINY["linear_relu_linear"])
    monkeypatch.setattr(torch.export, "export", refuses)
    with pytest.raises(GraphError, match=r"(?s)no such guard"):
        save(gm, tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())
