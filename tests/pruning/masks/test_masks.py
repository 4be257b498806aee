"""Masks as data: combined, saved, applied to a copy, restored after optimizer steps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pruning_nets import PRUNING_NETS

import fxpasses as fx
from fxpasses.pruning import (
    Masks,
    apply_masks,
    keep_masks,
    make_masks,
    make_permanent,
    masks_of,
    replace_masks,
    zeros_as_masks,
)


@pytest.fixture
def graph() -> torch.fx.GraphModule:
    net = PRUNING_NETS["chain"]
    return fx.capture(net.build(), net.example_inputs())


def halves(kept: list[int], size: int = 8) -> torch.Tensor:
    mask = torch.zeros(size, dtype=torch.bool)
    mask[kept] = True
    return mask


def test_combining() -> None:
    a, b = Masks({"x": halves([0, 1]), "y": halves([2])}), Masks({"x": halves([1, 2]), "z": halves([3])})
    assert {path: mask.nonzero().flatten().tolist() for path, mask in (a & b).items()} == {
        "x": [1], "y": [2], "z": [3],
    }  # fmt: skip
    assert {path: mask.nonzero().flatten().tolist() for path, mask in (a | b).items()} == {"x": [0, 1, 2]}
    assert a.sparsity == 13 / 16
    assert Masks().sparsity == 0


def test_combining_other_shapes() -> None:
    with pytest.raises(fx.InputError, match=r"masks of 'x'[\s\S]*shapes \[8\] and \[4\]"):
        Masks({"x": halves([0])}) & Masks({"x": halves([0], 4)})


def test_not_bool() -> None:
    with pytest.raises(fx.InputError, match=r"mask of 'x'[\s\S]*torch\.float32, not bool"):
        Masks({"x": torch.ones(3)})


def test_saved_and_loaded(tmp_path: Path) -> None:
    masks = Masks({"a.b": halves([0, 3]), "c": torch.ones(2, 3, dtype=torch.bool)})
    masks.save(tmp_path / "masks.safetensors")
    again = Masks.load(tmp_path / "masks.safetensors")
    assert list(again) == list(masks) and all(torch.equal(again[p], masks[p]) for p in masks)
    assert [p.name for p in tmp_path.iterdir()] == ["masks.safetensors"]


def test_files_that_are_no_masks(tmp_path: Path) -> None:
    with pytest.raises(fx.InputError, match="cannot read masks"):
        Masks.load(tmp_path / "none.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"no")
    with pytest.raises(fx.InputError, match="cannot read masks"):
        Masks.load(tmp_path / "broken.safetensors")
    with pytest.raises(fx.InputError, match="cannot write masks"):
        Masks({"x": halves([0])}).save(tmp_path / "no" / "folder.safetensors")


def test_applied_to_a_copy(graph: torch.fx.GraphModule) -> None:
    before = graph.get_parameter("0.weight").clone()
    masks = make_masks(graph, 0.5)
    sparse = apply_masks(graph, masks)
    weight = sparse.get_parameter("0.weight")
    assert torch.equal(weight != 0, masks["0"])
    assert torch.equal(graph.get_parameter("0.weight"), before)
    assert masks_of(graph) == {} and set(masks_of(sparse)) == set(masks)
    assert {p: int((~m).sum()) for p, m in zeros_as_masks(sparse).items()} == {
        p: int((~m).sum()) for p, m in masks.items()
    }


def test_channels_lose_their_bias_too(graph: torch.fx.GraphModule) -> None:
    sparse = apply_masks(graph, {"3": halves([0, 4], 10)})
    weight, bias = sparse.get_parameter("3.weight"), sparse.get_parameter("3.bias")
    assert bias.nonzero().flatten().tolist() == [0, 4]
    assert weight.flatten(1).abs().sum(1).nonzero().flatten().tolist() == [0, 4]


def test_both_masks_stay_in_force(graph: torch.fx.GraphModule) -> None:
    """Masks of weights, then of channels, are both restored."""
    weights = make_masks(graph, 0.5, layers="3")
    twice = apply_masks(apply_masks(graph, weights), {"3": halves([0, 4], 10)})
    together = masks_of(twice)["3"]
    assert torch.equal(together, weights["3"] & halves([0, 4], 10)[:, None, None, None])
    assert torch.equal(twice.get_parameter("3.weight") != 0, together)


def test_masks_of_transposed_convolutions() -> None:
    net = PRUNING_NETS["transposed"]
    graph = fx.capture(net.build(), net.example_inputs())
    sparse = apply_masks(graph, {"3": halves([1, 11], 18)})  # 2 groups of 9 output channels
    with torch.no_grad():
        out = sparse.get_submodule("3")(torch.randn(1, 12, 4, 4))
    assert out.flatten(2).abs().sum((0, 2)).nonzero().flatten().tolist() == [1, 11]


def test_kept_through_training(graph: torch.fx.GraphModule) -> None:
    sparse = apply_masks(graph, make_masks(graph, 0.5))
    dense_zeros = int((sparse.get_parameter("0.weight") == 0).sum())
    optimizer = torch.optim.SGD(sparse.parameters(), 0.1, momentum=0.9)
    handle = keep_masks(sparse, optimizer)
    for _ in range(2):
        optimizer.zero_grad()
        torch.autograd.backward(sparse(*PRUNING_NETS["chain"].example_inputs()).square().sum())
        optimizer.step()
    assert int((sparse.get_parameter("0.weight") == 0).sum()) == dense_zeros
    handle.remove()
    optimizer.step()
    assert int((sparse.get_parameter("0.weight") == 0).sum()) < dense_zeros


def test_replaced(graph: torch.fx.GraphModule) -> None:
    sparse = apply_masks(graph, make_masks(graph, 0.2))
    more = make_masks(sparse, 0.6)
    replace_masks(sparse, more)
    assert {p: int(m.sum()) for p, m in masks_of(sparse).items()} == {p: int(m.sum()) for p, m in more.items()}
    assert int((sparse.get_parameter("0.weight") != 0).sum()) == int(more["0"].sum())


def test_permanent(graph: torch.fx.GraphModule) -> None:
    sparse = apply_masks(graph, make_masks(graph, 0.5))
    forgetful = make_permanent(sparse)
    assert masks_of(forgetful) == {} and len(masks_of(sparse)) == 3
    assert torch.equal(forgetful.get_parameter("0.weight"), sparse.get_parameter("0.weight"))


@pytest.mark.parametrize(
    ("masks", "error"),
    [
        ({"03": halves([0])}, "layer '03'[\\s\\S]*did you mean '3'"),
        ({"0": halves([0], 5)}, "mask of '0'[\\s\\S]*shape \\[5\\], the weight \\[8, 5, 3, 3\\]"),
        ({"0": halves([])}, "mask of '0'[\\s\\S]*prunes everything"),
    ],
)
def test_bad_masks(graph: torch.fx.GraphModule, masks: dict[str, torch.Tensor], error: str) -> None:
    before = graph.get_parameter("0.weight").clone()
    with pytest.raises(fx.InputError, match=error):
        apply_masks(graph, masks)
    assert torch.equal(graph.get_parameter("0.weight"), before)


def test_not_a_float_graph() -> None:
    with pytest.raises(fx.GraphError, match="apply_masks got a Linear that was not captured"):
        apply_masks(torch.fx.symbolic_trace(torch.nn.Linear(2, 2)), {})
