"""Layers that take bytes and give floats: bit for bit the results of exact arithmetic and of onnxruntime."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from int8_files import exported, run_file
from tiny_graphs import fresh_inputs, quantize_net
from tiny_nets.net import tiny
from torch import Tensor, nn

from fxpasses.export.engines import quint8, saturation
from fxpasses.export.engines.exact_layers import ExactResult
from fxpasses.export.engines.kernel import Kernel
from fxpasses.export.engines.reference import ReferenceResult
from fxpasses.export.engines.saturation import is_exact
from fxpasses.export.engines.x86.float_results import FewRows, ManyRows, float_result_kernel
from fxpasses.export.torch_int8 import to_torch
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.int8.int8_calls import FloatResult, find_float_results

MANY = 30
PLAIN = QuantConfig(observer="minmax", equalization=False, narrow_ranges=False, bias_correction=False)


def result_of(shape: tuple[int, ...], outputs: int, bias: bool = True, target: str = "x86") -> FloatResult:
    net = tiny("layer", lambda: nn.Linear(shape[-1], outputs, bias), shape)
    config = replace(PLAIN, target=target)
    (result,) = find_float_results(quantize_net(net, config)).values()
    return result


def kernels_of(result: FloatResult) -> list[Kernel]:
    """Kernels that are exact on this machine for these weights."""
    packed = [FewRows(result)] if is_exact("fbgemm", result) else []
    plain = [ManyRows(result)] if is_exact("onednn", result) else []
    return [*packed, *plain, ExactResult(result)]


def random_bytes(shape: tuple[int, ...], extreme: bool) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    if extreme:
        return torch.randint(2, shape, generator=generator).mul_(255).to(torch.uint8)
    return torch.randint(256, shape, generator=generator).to(torch.uint8)


@settings(max_examples=MANY)
@given(st.integers(1, 90), st.integers(1, 40), st.sampled_from([(), (3,), (2, 3)]), st.booleans(), st.booleans())
def test_every_kernel_gives_what_exact_arithmetic_gives(
    inputs: int, outputs: int, between: tuple[int, ...], bias: bool, extreme: bool
) -> None:
    for target in ("x86", "x86-avx2"):
        _every_kernel_is_exact(result_of((2, *between, inputs), outputs, bias, target), extreme)


def _every_kernel_is_exact(result: FloatResult, extreme: bool) -> None:
    *between, inputs = result.input.meta["shape"][1:]
    for batch in (1, 2, 5):
        q = random_bytes((batch, *between, inputs), extreme)
        expected = ReferenceResult(result)(q)
        for kernel in kernels_of(result):
            for given_as in (q, quint8.as_quint8(q, result.x)):
                found = kernel(given_as)
                assert found.dtype is torch.float32 and torch.equal(found, expected)


def test_weights_and_bytes_at_their_ends() -> None:
    result = result_of((2, 600), 8)
    q = torch.full((2, 600), 255, dtype=torch.uint8)
    for largest in (127, 64):
        result.layer.weight.fill_(largest)
        result.layer.weight[::2] = -largest
        expected = ReferenceResult(result)(q)
        assert all(torch.equal(kernel(q), expected) for kernel in kernels_of(result))
    assert len(kernels_of(result)) == 3, "64 is safe on every CPU"


def test_the_kernel_is_chosen_by_the_rows_of_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saturation, "saturates", lambda engine: False)
    assert isinstance(float_result_kernel(result_of((2, 5), 3)), FewRows)
    assert isinstance(float_result_kernel(result_of((2, 1, 5), 3)), FewRows)
    assert isinstance(float_result_kernel(result_of((2, 4, 5), 3)), ManyRows)
    assert isinstance(float_result_kernel(result_of((2, 5), 3, target="cuda")), ReferenceResult)
    monkeypatch.setattr(quint8, "is_available", lambda: False)
    assert isinstance(float_result_kernel(result_of((2, 5), 3)), ManyRows)


@pytest.mark.parametrize("shape", [(3, 33), (2, 7, 33)])
def test_onnxruntime_gives_the_same_floats(shape: tuple[int, ...]) -> None:
    net = tiny("layer", lambda: nn.Sequential(nn.Linear(33, 20), nn.ReLU(), nn.Linear(20, 9)), shape)
    int8 = quantize_net(net)
    inputs = fresh_inputs(net, 9)
    (theirs,) = run_file(exported(int8), inputs)
    assert len(find_float_results(int8)) == 1
    assert torch.equal(to_torch(int8)(*inputs), theirs)
