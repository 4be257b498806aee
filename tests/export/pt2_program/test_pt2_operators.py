"""Operators that a file may call; no other object is found by any name."""

from __future__ import annotations

import operator

import pytest
import torch

from fxpasses.export.pt2_program import operators
from fxpasses.export.pt2_records.records import RefusedError
from fxpasses.graph.operator_table import VOCABULARY
from fxpasses.quantization.numbers import ops


@pytest.mark.parametrize(
    ("target", "function"),
    [
        ("torch.ops.aten.add.Tensor", torch.ops.aten.add.Tensor),
        ("torch.ops.aten.__and__.Tensor", torch.ops.aten.__and__.Tensor),
        ("torch.ops.aten.upsample_bilinear2d.vec", torch.ops.aten.upsample_bilinear2d.vec),
        ("torch.ops.fxpasses.quantize.default", ops.quantize),
        ("_operator.mul", operator.mul),
        ("torch.sym_max", torch.sym_max),
    ],
)
def test_operators_of_saved_graphs(target: str, function: object) -> None:
    assert operators.operator_of(target) is function


@pytest.mark.parametrize(
    "target",
    ["torch.ops.aten.add_.Tensor", "torch.ops.aten.add.out", "torch.ops.aten.from_file.default", "torch.ops.aten.add.x",
     "torch.ops.aten.empty.memory_format", "torch.ops.aten.as_strided.default", "torch.ops.fxpasses.quantise.default",
     "torch.ops.prims.add.default", "_operator.pow", "_operator.lshift", "torch.os.system", "torch.ops.aten", "", "."],
)  # fmt: skip
def test_nothing_else(target: str) -> None:
    with pytest.raises(RefusedError, match=r"not on the list of operators of saved graphs.*may run code") as caught:
        operators.operator_of(target)
    assert "operators=['aten.name']" in caught.value.fix


def test_every_aten_spelling_of_the_vocabulary_is_on_the_list() -> None:
    spelled = {
        s.target for op in VOCABULARY.by_name.values() for s in op.spellings if str(s.target).startswith("aten.")
    }
    packets = {str(name).removeprefix("aten.") for name in spelled if not str(name).endswith("_")}
    found = {p: [o for o in getattr(torch.ops.aten, p).overloads() if o != "out"] for p in packets}
    refused = []
    for packet, overloads in found.items():
        if not any(_is_taken(f"torch.ops.aten.{packet}.{overload}") for overload in overloads):
            refused.append(packet)
    assert refused == []


def _is_taken(target: str) -> bool:
    try:
        operators.operator_of(target)
    except RefusedError:
        return False
    return True


def test_nothing_on_the_list_writes_or_takes_a_file() -> None:
    for packet in operators._aten_names():
        for overload in operators._overloads("aten", packet).values():
            assert isinstance(overload, torch._ops.OpOverload)
            schema = overload._schema
            assert not schema.is_mutable, schema
            assert not any(a.name == "filename" or "Storage" in str(a.type) for a in schema.arguments), schema


def test_more_operators_by_the_callers_wish() -> None:
    target = "torch.ops.aten.special_bessel_j0.default"
    assert not _is_taken(target)
    assert operators.operator_of(target, ["aten.special_bessel_j0"]) is torch.ops.aten.special_bessel_j0.default
    with pytest.raises(RefusedError):
        operators.operator_of("torch.ops.aten.add_.Tensor", ["aten.add_"])


def test_checks_of_torch_export_are_known() -> None:
    assert operators.is_check("torch.ops.aten._assert_scalar.default")
    assert not operators.is_check("torch.ops.aten.add.Tensor")


def test_what_gives_a_list() -> None:
    assert operators.gives_a_list(torch.ops.aten.split.Tensor)
    assert not operators.gives_a_list(torch.ops.aten.add.Tensor)
    assert not operators.gives_a_list(operator.mul)
