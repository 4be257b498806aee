"""Kernels called as a chain give the results of separate calls."""

from __future__ import annotations

import inspect
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from tiny_graphs import PAIR_SAFE, fresh_inputs, outputs_of, quantize_net, quantized
from tiny_nets.all_nets import TINY
from tiny_nets.net import TinyNet, tiny
from tiny_nets.share import each_net
from torch import Tensor, fx, nn

from fxpasses.export.engines import chains, quint8
from fxpasses.export.engines.chains import Chain, chained
from fxpasses.export.engines.x86.layers import PackedConv, PackedLinear
from fxpasses.export.engines.x86.net import X86Net
from fxpasses.export.torch_int8 import to_torch


class Blocks(nn.Module):
    """Every operator that a chain can hold, and a pool and a mean that end one."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.c = nn.Conv2d(12, 5, 1)
        self.gate = nn.Conv2d(5, 5, 1)
        self.classify = nn.Sequential(nn.Linear(5, 9), nn.ReLU(), nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.hardswish(self.a(x)), 2, ceil_mode=True)
        y = self.b(x)
        x = self.c(torch.cat((y + y, 3 * x + y), 1))
        x = x * torch.sigmoid(self.gate(F.adaptive_avg_pool2d(x, 1)))
        logits: Tensor = self.classify(x.mean((2, 3)))
        return logits


@pytest.fixture(autouse=True)
def short_chains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chains, "SHORTEST", 2)


@pytest.mark.parametrize("name", each_net(TINY))
def test_every_kernel_as_a_chain_of_its_own(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chains of single kernels, and of all kernels that follow each other, give the same integers in every net."""
    monkeypatch.setattr(chains, "SHORTEST", 1)
    inputs = fresh_inputs(TINY[name], 23)
    expected = outputs_of(to_torch(quantized(name, PAIR_SAFE), "reference"), inputs)
    found = outputs_of(to_torch(quantized(name, PAIR_SAFE), "x86"), inputs)
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def test_a_short_chain_is_not_worth_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    net = on_x86(on_images(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1), nn.Conv2d(2, 3, 1)))).net
    found = []
    for shortest in (3, 4):
        monkeypatch.setattr(chains, "SHORTEST", shortest)
        found.append(len(chains_of(net)))
    assert found == [1, 0]


def on_images(body: nn.Module) -> TinyNet:
    return tiny("on_images", lambda: body.eval(), (2, 3, 9, 7))


class Branches(nn.Module):
    """Model with a chain whose first and last value are both read after it."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.a(x))
        y = self.b(x)
        gate = torch.sigmoid(F.avg_pool2d(y, 3, 1, 1))
        result: Tensor = self.c(x * gate)
        return result


def on_x86(net: TinyNet) -> X86Net:
    return x86_net(quantize_net(net, PAIR_SAFE))


def x86_net(gm: fx.GraphModule) -> X86Net:
    module = to_torch(gm, "x86")
    assert isinstance(module, X86Net)
    return module


@cache
def int8_of(body: Callable[[], nn.Module]) -> fx.GraphModule:
    """QUANTIZED graph of a net of images; not to be changed."""
    return quantize_net(on_images(body()), PAIR_SAFE)


def chains_of(gm: fx.GraphModule) -> list[Chain]:
    return [child for child in chained(gm).children() if isinstance(child, Chain)]


@pytest.mark.parametrize("shape", [(5, 3, 9, 7), (1, 3, 14, 11)])
@pytest.mark.parametrize("body", [Blocks, Branches])
def test_a_chain_gives_what_its_kernels_give(body: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    """A chain gives the integers of its kernels for any batch size and image size."""
    inputs = (torch.randn(shape),)
    module, reference = x86_net(int8_of(body)), to_torch(int8_of(body), "reference")
    (one_by_one,), (called,), (exact,) = (outputs_of(m, inputs) for m in (module.net, module, reference))
    assert torch.equal(one_by_one, called) and torch.equal(called, exact)


def test_every_kind_of_kernel_is_in_a_chain() -> None:
    text = "".join(chain.source_text for chain in chains_of(x86_net(int8_of(Blocks)).net))
    for operator in (
        "conv2d",
        "add",
        "cat",
        "linear",
        "hardswish",
        "max_pool2d",
        "average",
        "flatten",
        "mul_",
        "multiply",
        "look_up",
    ):
        assert f"{operator}(" in text, operator


def test_the_text_of_a_chain() -> None:
    torch.manual_seed(0)
    net = on_x86(on_images(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 2, 1)))).net
    (chain,) = chains_of(net)
    first, second = (kernel.y for kernel in net.children() if isinstance(kernel, PackedConv))
    packed = "__torch__.torch.classes.quantized.Conv2dPackedParamsBase"
    assert chain.source_text == (
        f"def chain(q0: Tensor, constant1: {packed}, constant2: {packed}) -> Tensor:\n"
        f"    q1 = torch.ops.quantized.conv2d(q0, constant1, {first.scale}, {first.zero_point})\n"
        "    q2 = torch.ops.aten.quantized_max_pool2d(q1, [2, 2], [2, 2], [0, 0], [1, 1], False)\n"
        f"    q3 = torch.ops.quantized.conv2d(q2, constant2, {second.scale}, {second.zero_point})\n"
        "    return q3\n"
    )


def test_values_read_behind_a_chain_come_out_of_it() -> None:
    net = x86_net(int8_of(Branches)).net
    (chain,) = chains_of(net)
    assert len(chain.outputs) == 2 and chain.source_text.startswith("def chain(q0: Tensor, constant1")
    assert "Tuple[Tensor, Tensor]" in chain.source_text and chain.source_text.endswith("return q1, q2\n")


def test_one_kernel_is_no_chain_and_a_net_is_not_changed() -> None:
    net = on_x86(on_images(nn.Sequential(nn.Conv2d(3, 4, 3), nn.AvgPool2d(3, 1), nn.Conv2d(4, 2, 1)))).net
    before = net.code
    called = chained(net)
    assert not chains_of(net) and net.code == before == called.code
    assert all(called.get_submodule(name) is child for name, child in net.named_children())


class Clamped(nn.Module):
    """A clamp that saturation does not cover is another operator."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.clamp(self.b(torch.clamp(self.a(x), -0.1, 0.1)), -0.2, 0.3)


def test_what_is_more_than_script_says_so() -> None:
    module = on_x86(on_images(Clamped()))
    layers = [k for k in module.net.children() if isinstance(k, PackedConv)]
    assert len(layers) == 2
    assert [k.script is None for k in layers] == [k.limits is not None for k in layers]
    lines = tiny("line", lambda: nn.Sequential(nn.Conv1d(3, 4, 3), nn.ReLU(), nn.Conv1d(4, 2, 1)), (2, 3, 9))
    assert all(k.script is None for k in on_x86(lines).net.children() if isinstance(k, (PackedConv, PackedLinear)))


def test_without_torchscript_kernels_are_called_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = fresh_inputs(on_images(Blocks()), 4)
    (expected,) = outputs_of(x86_net(int8_of(Blocks)), inputs)
    monkeypatch.delattr(torch.jit, "CompilationUnit")
    assert not chains.is_available()
    assert torch.equal(outputs_of(x86_net(int8_of(Blocks)), inputs)[0], expected)


def test_several_threads_may_call_one_chain() -> None:
    """Threads call the chain from its first call on, while TorchScript still chooses how to run it."""
    module, reference, x = x86_net(int8_of(Blocks)), to_torch(int8_of(Blocks), "reference"), torch.randn(4, 3, 9, 7)
    (expected,) = outputs_of(reference, (x,))

    def some(batch: int) -> bool:
        return all(torch.equal(outputs_of(module, (x[:batch],))[0], expected[:batch]) for _ in range(20))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(some, [1, 2, 3, 4]))


@pytest.mark.parametrize("missing", ["quint8", "sources"])
def test_without_what_it_needs_there_are_no_chains(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chains.is_available()
    if missing == "quint8":
        monkeypatch.setattr(quint8, "is_available", lambda: False)
    else:
        monkeypatch.setattr(inspect, "getsourcefile", lambda found: None)
    assert not chains.is_available()


@given(st.floats(2.0**-96, 2.0**96, width=32))
def test_a_scale_is_the_same_number_in_torchscript(scale: float) -> None:
    compiled = torch.jit.CompilationUnit(f"def scale() -> float:\n    return {scale!r}\n")
    assert struct.pack("d", compiled.scale()) == struct.pack("d", scale)
