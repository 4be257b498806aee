"""Models may use any names; files hold plain names, and are read with the same integers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from int8_files import are_equal
from tiny_graphs import X86, outputs_of, own_copy, quantized
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.errors import InputError
from fxpasses.export import load, save
from fxpasses.export.metadata import qparams_hash
from fxpasses.export.pt2.plain_names import has_plain_names, with_plain_names


class Named(nn.Module):
    """Names in other alphabets, with spaces, and one that plain letters would give twice."""

    def __init__(self) -> None:
        super().__init__()
        names = ("größe", "gru00f6u00dfe", "x y")
        self.layers = nn.ModuleDict({name: nn.Linear(5, 5) for name in names})
        self.norms = nn.ModuleDict({"слой": nn.LayerNorm(5)})
        self.register_buffer("überschuss", torch.linspace(0, 1, 5))

    def forward(self, größe: Tensor) -> dict[str, Tensor]:
        out = größe
        for layer in self.layers.values():
            out = torch.relu(layer(out))
        return {"größe": self.norms["слой"](out) + self.überschuss, "other": out}


@pytest.fixture(scope="module")
def named() -> fx.GraphModule:
    torch.manual_seed(0)
    x = torch.randn(8, 5)
    return fxpasses.quantize(Named().eval(), x[:2], [x], X86)


def test_it_is_saved_under_plain_names_and_loads(named: fx.GraphModule, tmp_path: Path) -> None:
    assert not has_plain_names(named)
    loaded = load(save(named, tmp_path / "model.pt2"))
    x = torch.randn(4, 5)
    assert set(loaded(x)) == {"größe", "other"}
    assert are_equal(outputs_of(loaded, (x,)), outputs_of(named, (x,)))
    assert qparams_hash(loaded) == qparams_hash(named)
    assert loaded.code.rpartition("return")[0].isascii()


def test_names(named: fx.GraphModule) -> None:
    code, plain = named.code, with_plain_names(named)
    assert has_plain_names(plain) and named.code == code
    names = dict(plain.named_parameters()) | dict(plain.named_buffers())
    assert "layers.gru00f6u00dfe_int8.weight" in names and "layers.xu0020y_int8.weight" in names
    assert len(names) == len(dict(named.named_parameters()) | dict(named.named_buffers()))
    assert [n.target for n in plain.graph.nodes if n.op == "placeholder"] == ["gru00f6u00dfe"]


def test_plain_graphs_are_left_alone() -> None:
    assert has_plain_names(quantized("residual_block"))


def test_an_argument_that_has_no_plain_letters() -> None:
    gm = own_copy(quantized("conv_bn_relu"))
    next(n for n in gm.graph.nodes if n.op == "placeholder").target = "__x"
    assert [n.target for n in with_plain_names(gm).graph.nodes if n.op == "placeholder"] == ["renamed_0"]


@pytest.mark.parametrize(("wrap", "why"), [(lambda y: {"a'b": y}, "may run code")])
def test_outputs_no_file_holds(wrap: Callable[[Tensor], object], why: str, tmp_path: Path) -> None:

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 5)

        def forward(self, x: Tensor) -> object:
            return wrap(self.linear(x))

    x = torch.randn(4, 3)
    gm = fxpasses.quantize(Net().eval(), x[:2], [x], X86)
    with pytest.raises(InputError, match=rf"(?s)this graph's output.*({why}).*return tensors"):
        save(gm, tmp_path / "model.pt2")
