"""Nets on x86: the same integers for any shape, number of threads and caller, and in copies."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from tiny_graphs import PAIR_SAFE, fresh_inputs, outputs_of, quantize_net, quantized
from tiny_nets.all_nets import TINY
from tiny_nets.net import tiny
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.export.engines import chains, quint8
from fxpasses.export.engines.shape_cache import REPEATS
from fxpasses.export.engines.x86.layers import PackedConv
from fxpasses.export.engines.x86.net import X86Net
from fxpasses.export.torch_int8 import to_torch

DEPTHWISE = tiny(
    "depthwise", lambda: nn.Sequential(nn.Conv2d(128, 128, 3, groups=128), nn.Conv2d(128, 8, 1)), (2, 128, 7, 7)
)


def on_x86(name: str = "conv_bn_relu") -> X86Net:
    net = to_torch(quantized(name, PAIR_SAFE), "x86")
    assert isinstance(net, X86Net)
    return net


@pytest.fixture
def packings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Engines for which weights have been packed."""
    seen: list[str] = []
    packing_for = quint8.packing_for

    def counted(engine: str) -> object:
        seen.append(engine)
        return packing_for(engine)

    monkeypatch.setattr(quint8, "packing_for", counted)
    return seen


def results(net: nn.Module, inputs: tuple[Tensor, ...], times: int = 1) -> list[Tensor]:
    return [y for _ in range(times) for y in outputs_of(net, inputs)]


@pytest.mark.parametrize("name", ["conv_bn_relu", "conv1d_bn_relu", "conv3d_bn_relu", "shared_conv_and_bn"])
def test_a_batch_that_keeps_coming_packs_once(name: str, packings: list[str]) -> None:
    net, exact = on_x86(name), to_torch(quantized(name, PAIR_SAFE), "reference")
    layers = sum(isinstance(m, PackedConv) for m in net.modules())
    results(net, fresh_inputs(TINY[name], 5, 3))
    packings.clear()
    inputs = fresh_inputs(TINY[name], 6, 1)
    found, (expected, *_) = results(net, inputs, 2 * REPEATS), results(exact, inputs)
    assert packings == ["onednn"] * layers
    assert all(torch.equal(y, expected) for y in found)


def test_what_keeps_no_shape_is_not_packed_again(packings: list[str]) -> None:
    net = on_x86("squeeze_excite")
    assert sorted(packings) == ["fbgemm", "fbgemm", "onednn"]
    results(net, fresh_inputs(TINY["squeeze_excite"], 5, 3))
    packings.clear()
    results(net, fresh_inputs(TINY["squeeze_excite"], 6, 1), 2 * REPEATS)
    assert packings == ["onednn"]


def test_another_number_of_threads_is_another_shape(packings: list[str]) -> None:
    net, inputs, before = on_x86(), fresh_inputs(TINY["conv_bn_relu"], 7), torch.get_num_threads()
    expected = results(net, inputs)[0]
    packings.clear()
    try:
        torch.set_num_threads(before + 1)
        assert all(torch.equal(y, expected) for y in results(net, inputs, REPEATS))
    finally:
        torch.set_num_threads(before)
    assert packings


def test_a_copy_packs_for_the_same_engine() -> None:
    """Torch copies packed weights for the current engine; the sums of fbgemm saturate with so many groups."""
    net = to_torch(quantize_net(DEPTHWISE, PAIR_SAFE), "x86")
    inputs = (40 * torch.randn(2, 128, 7, 7),)
    assert torch.equal(*results(net, inputs), *results(copy.deepcopy(net), inputs))


def test_a_copy_shares_nothing_that_packs_again() -> None:
    net = on_x86()
    twin = copy.deepcopy(net)
    assert isinstance(twin, X86Net) and twin.net is not net.net and not twin.training


@pytest.mark.parametrize("autotune", [False, True])
def test_a_pickle_packs_anew_where_it_is_read(autotune: bool, packings: list[str]) -> None:
    net = to_torch(quantized("conv_bn_relu", PAIR_SAFE), "x86", autotune=autotune)
    content = pickle.dumps(net)
    packings.clear()
    twin = pickle.loads(content)  # noqa: S301  # our own bytes
    inputs = fresh_inputs(TINY["conv_bn_relu"], 9, 4)
    assert packings and all(torch.equal(a, b) for a, b in zip(results(twin, inputs), results(net, inputs), strict=True))


def test_its_parameters_are_those_of_the_net_alone() -> None:
    """The graph kept for pickles is none of its modules: it would count twice, and move twice."""
    net = on_x86()
    assert {name.split(".")[0] for name, _ in net.named_modules() if name} == {"net"}


def test_callers_at_once_and_the_engine_as_before() -> None:
    """Threads with batches of their own pack at the same time."""
    before = torch.backends.quantized.engine
    net, (x,) = on_x86(), fresh_inputs(TINY["conv_bn_relu"], 8, 4)
    (expected,) = results(to_torch(quantized("conv_bn_relu", PAIR_SAFE), "reference"), (x,))

    def some(batch: int) -> bool:
        return all(torch.equal(y, expected[:batch]) for y in results(net, (x[:batch],), 30))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(some, [1, 2, 3, 4]))
    assert torch.backends.quantized.engine == before


def test_torch_compile_leaves_it_alone() -> None:
    net, inputs, traced = on_x86("squeeze_excite"), fresh_inputs(TINY["squeeze_excite"], 7), []

    def backend(gm: fx.GraphModule, example_inputs: list[Tensor]) -> Callable[..., object]:
        traced.append(gm.code)
        return gm.forward

    compiled = torch.compile(net, backend=backend)
    with torch.no_grad():
        assert torch.equal(compiled(*inputs), net(*inputs)) and traced == []


def test_inputs_may_be_named() -> None:
    gm = fxpasses.quantize(nn.Conv2d(3, 4, 3).eval(), torch.randn(2, 3, 8, 8), [torch.randn(4, 3, 8, 8)])
    net, x = to_torch(gm, "x86"), torch.randn(2, 3, 8, 8)
    name = next(n.target for n in gm.graph.nodes if n.op == "placeholder")
    assert torch.equal(net(x), net(**{name: x}))


def test_nobody_asks_packed_weights_for_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packed weights are not asked for overrides, even without chains, where Python calls each layer."""
    asked = []

    def asking(layer: PackedConv) -> Callable[[Tensor], Tensor]:
        def convolve(q: Tensor) -> Tensor:
            asked.append(torch.overrides.has_torch_function((Overriding(),)))
            return layer.forward(q)

        return convolve

    monkeypatch.setattr(chains, "is_available", lambda: False)
    monkeypatch.setattr(PackedConv, "function", property(asking))
    results(on_x86(), fresh_inputs(TINY["conv_bn_relu"], 9))
    assert asked == [False]
    assert torch.overrides.has_torch_function((Overriding(),)), "outside it is as ever"


def test_modules_of_float_islands_keep_their_hooks() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4), nn.Conv2d(4, 2, 1)).eval()
    net = to_torch(fxpasses.quantize(model, torch.randn(2, 3, 8, 8), [torch.randn(4, 3, 8, 8)]), "x86")
    (norm,) = [m for m in net.modules() if isinstance(m, nn.InstanceNorm2d)]
    seen: list[torch.Size] = []
    norm.register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    net(torch.randn(2, 3, 8, 8))
    assert seen == [(2, 4, 6, 6)]


class Overriding:
    """Object that claims to override operators; torch only checks the claim."""

    @classmethod
    def __torch_function__(cls, *given: object) -> Tensor:
        raise AssertionError("no operator is called on it")
