"""Half precision: lowered layers, layers that stay float32, and the distance of the outputs from float."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from lowered_nets import changed, images, mixed, reasons, sqnr_db
from torch import nn

import fxpasses
from fxpasses.errors import GraphError, InputError
from fxpasses.graph.stages import Stage, stage_of
from fxpasses.precision.half import rounded_to_half, to_half
from fxpasses.precision.lowered import NoKernelError

LEAST_DB = {"fp16": 50.0, "bf16": 32.0}
"""Least SQNR: relative errors of 2**-11 and 2**-8 give 71 and 53 dB for one rounding; four layers stay well above."""


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_float32_in_and_out_and_close(precision: str) -> None:
    before = {name: p.clone() for name, p in mixed().named_parameters()}
    lowered = to_half(mixed(), precision)
    with torch.no_grad():
        expected, found = mixed()(images()), lowered(images())
    assert found.dtype is torch.float32
    assert LEAST_DB[precision] < sqnr_db(expected, found) < 90
    assert stage_of(lowered) is Stage.LOWERED
    assert all(torch.equal(p, before[name]) and p.dtype is torch.float32 for name, p in mixed().named_parameters())
    assert changed(lowered) == ["conv", "first", "last"]
    assert "need float32" in reasons(lowered)["norm"]


def test_layers_kept_in_float() -> None:
    lowered = to_half(mixed(), "fp16", ["first"])
    assert reasons(lowered)["first"] == "asked for by 'first'"
    assert lowered.get_submodule("first").weight.dtype is torch.float32
    assert lowered.get_submodule("last").weight.dtype is torch.float16


def test_a_weight_beyond_the_range_stays_float() -> None:
    first = nn.Linear(3, 2)
    net = nn.Sequential(first, nn.Linear(2, 2)).eval()
    with torch.no_grad():
        first.weight[0, 0] = 1e5
    graph = fxpasses.fuse(fxpasses.capture(net, torch.randn(2, 3)))
    assert "beyond 65504" in next(iter(reasons(to_half(graph, "fp16")).values()))
    assert reasons(to_half(graph, "bf16")) == {}


def test_rounded_weights_in_float32() -> None:
    twin = rounded_to_half(mixed(), to_half(mixed(), "bf16"))
    weight = twin.get_submodule("first").weight
    assert isinstance(weight, torch.Tensor) and weight.dtype is torch.float32
    assert torch.equal(weight, weight.bfloat16().float())
    assert not torch.equal(weight, mixed().get_parameter("first.weight"))


def test_unknown_precision() -> None:
    with pytest.raises(InputError, match="it is no half precision"):
        to_half(mixed(), "fp8")


def test_what_gives_no_floats_cannot_be_kept() -> None:
    class Classes(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.argmax(x, 1)

    graph = fxpasses.fuse(fxpasses.capture(Classes().eval(), torch.randn(2, 4)))
    name = next(n.name for n in graph.graph.nodes if n.op.startswith("call_"))
    with pytest.raises(GraphError, match="cannot stay in float32"):
        to_half(graph, "fp16", [name])


class _Casting(nn.Module):
    """Coordinates, a mask and a spectrum: floats that begin inside the model, and operators without a kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = torch.linspace(-1, 1, x.shape[1]).view(1, -1, 1).expand(x.shape[0], -1, 1)
        y = self.first(torch.cat((x, places), 2)).float()
        y = torch.fft.irfft(torch.fft.rfft(y, dim=1) * 0.5, n=8, dim=1)
        y = y + torch.cdist(y, y)
        made: torch.Tensor = self.last(y * (x[..., :1] > 0).float())
        return made


@pytest.mark.parametrize("method", ["trace", "export"])
@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_floats_that_begin_inside_and_nodes_without_a_kernel(precision: str, method: Any, tmp_path: Path) -> None:
    net, x = _Casting().eval(), torch.randn(2, 8, 4)
    lowered = to_half(fxpasses.fuse(fxpasses.capture(net, x, method=method)), precision)
    with torch.no_grad():
        assert sqnr_db(net(x), lowered(x)) > LEAST_DB[precision]
    assert set(changed(lowered)) == {"first", "last"}
    kept = reasons(lowered)
    no_kernel, no_type = (
        f"torch has no kernel for it in {precision}",
        "no runtime has complex numbers in half precision",
    )
    assert set(kept.values()) == {no_kernel, no_type}
    assert any("rfft" in name for name in kept)
    assert torch.equal(fxpasses.load(fxpasses.export.save(lowered, tmp_path / "net.pt2"))(x), lowered(x))
    if precision == "fp16":  # bfloat16 has no kernels in onnxruntime
        fxpasses.export.to_onnx(lowered, tmp_path / "net.onnx")


def test_what_torch_computes_in_no_precision_is_told() -> None:
    graph = fxpasses.fuse(fxpasses.capture(nn.Sequential(nn.Linear(3, 3)).eval(), torch.randn(2, 3)))
    (node,) = [n for n in graph.graph.nodes if n.op == "call_module"]
    with graph.graph.inserting_after(node):
        failing = graph.graph.call_function(_fails, (node,))
    failing.meta = dict(node.meta)
    node.replace_all_uses_with(failing, delete_user_cb=lambda user: user is not failing)
    graph.recompile()
    with pytest.raises(NoKernelError, match=r"(?s)node '_fails'.*torch does not compute it in fp16: no kernel at all"):
        to_half(graph, "fp16")


def _fails(x: torch.Tensor) -> torch.Tensor:
    raise RuntimeError("no kernel at all")


class Turns(nn.Module):
    """A rotary embedding by products of complex numbers, as Llama's first code has it."""

    turns: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, 8), nn.Linear(8, 3)
        angles = torch.outer(torch.arange(6.0), torch.tensor([1.0, 0.1, 0.01, 0.001]))
        self.register_buffer("turns", torch.polar(torch.ones_like(angles), angles))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pairs = torch.view_as_complex(self.first(x).float().reshape(x.shape[0], 6, 4, 2))
        found: torch.Tensor = self.last(torch.view_as_real(pairs * self.turns).flatten(2))
        return found


@pytest.mark.parametrize("method", ["trace", "export"])
def test_complex_numbers_stay_in_float32(method: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = Turns().eval(), torch.randn(2, 6, 8)
    half = to_half(fxpasses.fuse(fxpasses.capture(model, x, method=method)), "fp16")
    torch.testing.assert_close(half(x), model(x), rtol=1e-2, atol=1e-2)
    session = onnxruntime.InferenceSession(fxpasses.export.to_onnx(half, tmp_path / "half.onnx"))
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    torch.testing.assert_close(torch.from_numpy(found), half(x), rtol=1e-2, atol=1e-2)
