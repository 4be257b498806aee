"""The faster of two kernels is found by measuring, once for each kind of operation, and changes no integer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from tiny_graphs import PAIR_SAFE, fresh_inputs, outputs_of, quantized
from tiny_nets.all_nets import TINY
from torch import Tensor, nn

from fxpasses.errors import InputError
from fxpasses.export.engines import autotune, quint8
from fxpasses.export.engines.autotune import is_faster
from fxpasses.export.engines.kernel import Kernel
from fxpasses.export.engines.x86.bytes_kernels import ByteHardswish, Table
from fxpasses.export.engines.x86.layers import PackedConv, PackedLinear, PlainConv, PlainLinear
from fxpasses.export.torch_int8 import to_torch
from fxpasses.quantization.int8.int8_calls import Int8Call, find_int8_calls

pytestmark = pytest.mark.skipif(not quint8.is_available(), reason="this torch has one kernel for each operation")

NETS = (
    "conv_bn_relu",
    "conv1d_bn_relu",
    "conv_depthwise_bn_relu6",
    "linear_relu_linear",
    "hardswish",
    "squeeze_excite",
)


class Usual(Kernel):
    """Stand-in for a kernel; it records its calls."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__()
        self.seen: list[Tensor] = []
        MADE.append(self)

    def forward(self, q: Tensor) -> Tensor:
        self.seen.append(q)
        return q


class Other(Usual):
    """The other kernel."""


MADE: list[Usual] = []


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    autotune._known.clear()
    MADE.clear()
    yield
    autotune._known.clear()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[type[nn.Module], float]:
    """Seconds that a kernel is claimed to take; it is really called."""
    seconds: dict[type[nn.Module], float] = {Usual: 1.0, Other: 1.0}

    def told(kernel: nn.Module, inputs: list[Tensor]) -> float:
        kernel(*inputs)
        return seconds[type(kernel)]

    monkeypatch.setattr(autotune, "_seconds", told)
    return seconds


def layer_of(name: str) -> Int8Call:
    return next(c for c in find_int8_calls(quantized(name, PAIR_SAFE)).values() if c.layer is not None)


@pytest.mark.parametrize(("seconds", "taken"), [(0.5, True), (0.94, True), (0.97, False), (1.0, False), (2.0, False)])
def test_the_other_has_to_be_faster_by_a_margin(
    seconds: float, taken: bool, clock: dict[type[nn.Module], float]
) -> None:
    clock[Other] = seconds
    assert is_faster(Other, Usual, layer_of("conv_bn_relu")) is taken


def test_both_see_the_integers_a_kernel_before_them_would_make(clock: dict[type[nn.Module], float]) -> None:
    call = layer_of("conv_bn_relu")
    is_faster(Other, Usual, call)
    usual, other = MADE
    assert len(usual.seen) == len(other.seen) == autotune.WARM_UP + autotune.ROUNDS
    q = usual.seen[0]
    assert tuple(q.shape) == tuple(call.inputs[0].meta["shape"])
    assert q.dtype is torch.quint8 and q.is_contiguous(memory_format=torch.channels_last)
    assert (q.q_scale(), q.q_zero_point()) == (call.x[0].scale, call.x[0].zero_point)


def test_a_kind_is_measured_once(clock: dict[type[nn.Module], float]) -> None:
    call = layer_of("conv_bn_relu")
    clock[Other] = 0.5
    assert is_faster(Other, Usual, call)
    clock[Other] = 2.0
    assert is_faster(Other, Usual, call)
    assert len(MADE) == 2


def test_another_shape_or_number_of_threads_is_another_kind(clock: dict[type[nn.Module], float]) -> None:
    is_faster(Other, Usual, layer_of("conv_bn_relu"))
    is_faster(Other, Usual, layer_of("conv_dilated_strided"))
    assert len(MADE) == 4
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        is_faster(Other, Usual, layer_of("conv_bn_relu"))
    finally:
        torch.set_num_threads(threads)
    assert len(MADE) == 6


def test_real_clocks_run() -> None:
    seconds = autotune._seconds(Usual(layer_of("conv_bn_relu")), [torch.zeros(1)])
    assert seconds > 0


@pytest.mark.parametrize("name", NETS)
def test_measured_or_not_the_integers_are_the_same(name: str) -> None:
    gm = quantized(name, PAIR_SAFE)
    inputs = fresh_inputs(TINY[name], 3, batch=5)
    tuned = to_torch(gm, autotune=True)
    for found, expected in zip(outputs_of(tuned, inputs), outputs_of(to_torch(gm), inputs), strict=True):
        assert torch.equal(found, expected)
    assert autotune._known


@pytest.mark.parametrize("faster", [False, True])
@pytest.mark.parametrize("name", NETS)
def test_what_is_faster_is_taken(name: str, faster: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autotune, "_ratio", lambda usual, other, inputs: 2.0 if faster else 0.5)
    gm = quantized(name, PAIR_SAFE)
    inputs = fresh_inputs(TINY[name], 3, batch=5)
    tuned = to_torch(gm, "x86", autotune=True)
    for found, expected in zip(outputs_of(tuned, inputs), outputs_of(to_torch(gm), inputs), strict=True):
        assert torch.equal(found, expected)
    kinds = {type(m) for m in tuned.modules()}
    assert bool(kinds & {PlainConv, PlainLinear, Table}) or not faster
    assert not (kinds & {PackedConv, PackedLinear, ByteHardswish} if faster else kinds & {PlainConv, PlainLinear})


@pytest.mark.parametrize("engine", ["reference", "plain"])
def test_engines_without_a_choice_say_so(engine: str) -> None:
    with pytest.raises(InputError, match=f"autotune for engine '{engine}'"):
        to_torch(quantized("conv_bn_relu", PAIR_SAFE), engine, autotune=True)
