"""Capture follows the model's signature, its batch size, its hooks and its in-place operations."""

from __future__ import annotations

import copy
import warnings
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from tiny_graphs import operators_of, outputs_of
from tiny_nets.convolutions import conv
from tiny_nets.net import IMAGE, OneInput, TwoInputs
from torch import Tensor, fx, nn
from torch.nn.utils import prune

from fxpasses.capturing.attempts import Method, capture
from fxpasses.errors import GraphError
from fxpasses.graph.stages import CaptureMethod, graph_facts

IMAGES = torch.randn(IMAGE, generator=torch.Generator().manual_seed(0))


def assert_same(gm: fx.GraphModule, model: nn.Module, inputs: tuple[Any, ...]) -> None:
    found, expected = outputs_of(gm, inputs), outputs_of(model, inputs)
    assert len(found) == len(expected)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


class Options(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = conv()

    def forward(self, x: Tensor, mask: Tensor | None = None, relu: bool = False, *, gain: float = 2.0) -> Tensor:
        y: Tensor = self.conv(x)
        if mask is not None:
            y = y * mask
        return F.relu(y) * gain if relu else y * gain


@pytest.mark.parametrize("method", ["trace", "export"])
@pytest.mark.parametrize(
    ("more", "operators"),
    [
        ((), ["conv2d", "mul"]),
        ((torch.full((2, 8, 7, 5), 0.5),), ["conv2d", "mul", "mul"]),
        ((None, True), ["conv2d", "relu", "mul"]),
    ],
    ids=["left out", "mask", "flag"],
)
def test_arguments_left_out_have_their_defaults(more: tuple[Any, ...], operators: list[str], method: Method) -> None:
    model = Options().eval()
    gm = capture(model, (IMAGES, *more), method=method)
    assert operators_of(gm) == operators
    with torch.no_grad():
        assert torch.equal(gm(IMAGES, *more), model(IMAGES, *more))


class Pair(NamedTuple):
    first: Tensor
    second: Tensor


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = conv()

    def forward(self, images: list[Any], *more: Tensor) -> dict[str, Any]:
        y = self.conv(images[0]) + self.conv(images[1]["other"])
        return {"pair": Pair(y, y * 2), "rest": [None, 3, *more]}


@pytest.mark.parametrize("method", ["trace", "export"])
def test_structured_inputs_and_outputs_keep_their_structure(method: Method) -> None:
    model, inputs = Nested().eval(), ([IMAGES, {"other": IMAGES + 1}], IMAGES, IMAGES * 2)
    gm = capture(model, inputs, method=method)
    with torch.no_grad():
        found, expected = gm(*inputs), model(*inputs)
    assert torch.equal(found["pair"].second, expected["pair"].second)
    assert found["rest"][:2] == [None, 3]
    assert torch.equal(found["rest"][3], IMAGES * 2)


def test_an_output_that_no_graph_can_return_is_refused() -> None:
    with pytest.raises(GraphError, match=r"returns a slice[\s\S]*returns a tensor, a tuple or a dict"):
        capture(OneInput(lambda net, x: (x, slice(1))).eval(), IMAGES)


class TestBatchSize:
    """The batch stays free, or capture says that it does not."""

    @pytest.mark.parametrize("batch", [1, 2])
    def test_export_keeps_it_open_whatever_the_example_is(self, batch: int) -> None:
        model = OneInput(lambda net, x: net.conv(x).view(x.shape[0], -1), conv=conv()).eval()
        gm = capture(model, IMAGES[:batch], method="export")
        assert_same(gm, model, (torch.randn(3, *IMAGE[1:]),))

    @pytest.mark.parametrize("batch", [1, 2])
    def test_a_loop_over_the_batch_fixes_it_with_a_warning(self, batch: int) -> None:
        model = OneInput(lambda net, x: torch.cat([net.conv(row[None]) for row in x]), conv=conv()).eval()
        with pytest.warns(UserWarning, match="example's batch size only, because: its forward counts, loops"):
            gm = capture(model, IMAGES[:batch])
        assert graph_facts(gm).capture_method is CaptureMethod.EXPORT_OF_ONE_BATCH
        assert_same(gm, model, (IMAGES[:batch],))

    @pytest.mark.parametrize("batch", [1, 2])
    def test_a_batch_of_one_that_is_a_special_case_fixes_it_with_a_warning(self, batch: int) -> None:
        model = OneInput(lambda net, x: net.conv(x) if x.shape[0] == 1 else -net.conv(x), conv=conv()).eval()
        with pytest.warns(UserWarning, match="example's batch size only, because: outputs differ by"):
            gm = capture(model, IMAGES[:batch])
        assert_same(gm, model, (IMAGES[:batch],))


class TestHooks:
    """A hook or a parametrization is part of the model's function: it is recorded, or folded into the weight."""

    @pytest.mark.parametrize("on", ["layer", "root"])
    def test_forward_hook_is_recorded(self, on: str) -> None:
        model = nn.Sequential(conv(), nn.ReLU()).eval()
        (model if on == "root" else model[0]).register_forward_hook(lambda m, args, output: output * 2)
        gm = capture(model, IMAGES)
        assert sorted(operators_of(gm)) == ["conv2d", "mul", "relu"]
        assert_same(gm, model, (IMAGES,))
        assert type(gm.get_submodule("0")) is nn.Conv2d
        assert (gm.get_submodule("0") is model[0]) == (on == "root")
        assert gm.get_parameter("0.weight") is model[0].weight

    def test_pre_hook_is_recorded(self) -> None:
        model = nn.Sequential(conv(), nn.ReLU()).eval()
        model[1].register_forward_pre_hook(lambda m, args: (args[0] + 1,))
        gm = capture(model, IMAGES)
        assert operators_of(gm) == ["conv2d", "add", "relu"]
        assert_same(gm, model, (IMAGES,))

    def test_hook_that_only_looks_leaves_no_trace(self) -> None:
        model, seen = nn.Sequential(conv(), nn.ReLU()).eval(), list[Any]()
        model[0].register_forward_hook(lambda m, args, output: seen.append(output.shape))
        assert operators_of(capture(model, IMAGES)) == ["conv2d", "relu"]

    @pytest.mark.parametrize("method", ["trace", "export"])
    @pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm", "old_weight_norm", "prune"])
    def test_computed_weight_becomes_a_plain_layer(self, kind: str, method: Method) -> None:
        model = nn.Sequential(conv(), nn.ReLU())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the old weight_norm is deprecated, and still met
            if kind == "old_weight_norm":
                nn.utils.weight_norm(model[0])
            elif kind == "prune":
                prune.l1_unstructured(model[0], "weight", 0.5)
            else:
                getattr(nn.utils.parametrizations, kind)(model[0])
        gm = capture(model.eval(), IMAGES, method=method)
        assert operators_of(gm) == ["conv2d", "relu"]
        assert type(gm.get_submodule("0")) is nn.Conv2d
        assert set(dict(gm.named_parameters())) == {"0.weight", "0.bias"}
        assert_same(gm, model, (IMAGES,))
        copy.deepcopy(gm)


class TestInPlaceSemantics:
    """In-place operations of a model, and the readers that see the change."""

    def test_input_is_not_changed(self) -> None:
        model = OneInput(lambda net, x: (x.add_(1), x * 2)[1]).eval()
        gm, given = capture(model, IMAGES), IMAGES.clone()
        assert torch.equal(gm(given), (IMAGES + 1) * 2)
        assert torch.equal(given, IMAGES)

    def test_two_inputs_that_share_memory_are_two_inputs(self) -> None:
        model = TwoInputs(lambda net, x, y: x.mul_(2) + y).eval()
        gm = capture(model, (IMAGES, IMAGES))
        assert torch.equal(gm(IMAGES, IMAGES), IMAGES * 2 + IMAGES)
