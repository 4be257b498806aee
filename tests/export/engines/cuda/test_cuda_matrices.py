"""Products of two activations, in Triton's interpreter, give the integers of the exact reference, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
from engine_calls import random_integers
from tiny_graphs import quantize_net
from tiny_nets.net import TwoInputs, tiny
from torch import Tensor

from fxpasses.export.engines.cuda import matrices
from fxpasses.export.engines.cuda.engine import _Choosing
from fxpasses.export.engines.cuda.matrices import CudaMatmul
from fxpasses.export.engines.reference import ReferenceKernel
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.int8.int8_calls import Int8Call, find_int8_calls

pytestmark = pytest.mark.usefixtures("interpreter")

CPU = torch.device("cpu")
PRODUCTS: dict[str, tuple[Callable[..., Tensor], tuple[int, ...], tuple[int, ...]]] = {
    "matrices": (lambda net, x, y: x @ y, (19, 37), (37, 5)),
    "one_of_each": (lambda net, x, y: x @ y, (1, 1), (1, 1)),
    "batch": (lambda net, x, y: torch.bmm(x, y), (3, 4, 32), (3, 32, 7)),
    "heads": (lambda net, x, y: x @ y.transpose(-2, -1), (2, 3, 6, 9), (2, 3, 5, 9)),
    "broadcast": (lambda net, x, y: x @ y, (2, 1, 3, 4, 6), (3, 1, 6, 5)),
    "vector_first": (lambda net, x, y: x @ y, (6,), (2, 6, 5)),
    "vector_last": (lambda net, x, y: x @ y, (2, 3, 6), (6,)),
    "vectors": (lambda net, x, y: x @ y, (33,), (33,)),
    "clamped": (lambda net, x, y: torch.relu(x @ y), (5, 40), (40, 6)),
}
QUICK = {("matrices", "x86"), ("heads", "cuda"), ("broadcast", "cuda"), ("vector_first", "x86"), ("clamped", "cuda")}
CASES = [
    pytest.param(name, target, marks=[] if (name, target) in QUICK else [pytest.mark.slow])
    for name in PRODUCTS
    for target in ("cuda", "x86")
]


@cache
def product_call(name: str, target: str) -> tuple[Int8Call, str]:
    """The call of a product, and its place in a lowering of its graph."""
    body, first, second = PRODUCTS[name]
    net = tiny(name, lambda: TwoInputs(body), first, second)
    gm = quantize_net(net, QuantConfig(target=target, observer="minmax", float_results=False))
    call = next(c for c in find_int8_calls(gm).values() if c.operator.name == "matmul")
    choosing = _Choosing(gm, CPU)
    assert isinstance(choosing.kernel_for(call), CudaMatmul)
    return call, choosing.placement.get(call.name, "")


@pytest.mark.parametrize(("name", "target"), CASES)
def test_products_are_the_references(name: str, target: str) -> None:
    call, place = product_call(name, target)
    assert place == "CudaMatmul"
    for proved, extreme in ((True, True), (False, False)):
        inputs = random_integers(call, 3, extreme)
        found = CudaMatmul(call, proved, CPU)(*inputs)
        assert found.dtype is call.y.grid.dtype and torch.equal(found, ReferenceKernel(call)(*inputs))


def test_a_signed_and_an_unsigned_operand() -> None:
    """Scores of a softmax may be unsigned where values are signed."""
    signed, _ = product_call("heads", "cuda")
    unsigned, _ = product_call("heads", "x86")
    for call in (mixed(signed, unsigned), mixed(unsigned, signed)):
        inputs = random_integers(call, 5)
        assert {q.dtype for q in inputs} == {torch.int8, torch.uint8}
        assert torch.equal(CudaMatmul(call, False, CPU)(*inputs), ReferenceKernel(call)(*inputs))


def mixed(first: Int8Call, second: Int8Call) -> Int8Call:
    from dataclasses import replace

    return replace(first, x=(first.x[0], second.x[1]))


def test_transposed_and_broadcast_operands_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    call, _ = product_call("heads", "cuda")
    a, b = random_integers(call, 3)
    turned = b.transpose(-2, -1).contiguous().transpose(-2, -1)
    read: list[int] = []
    monkeypatch.setattr(CudaMatmul, "_launch", lambda self, x, y, z: read.extend((x.data_ptr(), y.data_ptr())))
    kernel = CudaMatmul(call, True, CPU)
    kernel(a, turned)
    kernel(a, b[:1].expand_as(b))
    assert read == [a.data_ptr(), turned.data_ptr(), a.data_ptr(), b.data_ptr()]


@pytest.mark.parametrize(("limit", "value"), [("MOST_PRODUCTS", 31), ("MOST_PLACES", 32 * 7 - 1)])
def test_longer_sums_and_larger_matrices_are_the_references(
    limit: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, _ = product_call("batch", "x86")
    a, b = random_integers(call, 3)
    monkeypatch.setattr(matrices, limit, value)
    monkeypatch.setattr(CudaMatmul, "_launch", None)
    assert torch.equal(CudaMatmul(call, True, CPU)(a, b), ReferenceKernel(call)(a, b))


def test_no_matrices_at_all() -> None:
    call, _ = product_call("batch", "cuda")
    a, b = random_integers(call, 3)
    assert CudaMatmul(call, True, CPU)(a[:0], b[:0]).shape == (0, 4, 7)
