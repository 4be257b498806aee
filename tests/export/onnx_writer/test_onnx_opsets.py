"""A graph is written in the opset its operators need; an older one that is asked for is refused with the right one."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
import torchvision
from int8_files import model_of, run_file
from tiny_graphs import X86, close, outputs_of
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.errors import GraphError
from fxpasses.export import to_onnx, to_torch
from fxpasses.export.onnx_writer import write as onnx_file
from fxpasses.export.onnx_writer.opsets import DEFAULT_OPSET, opset_needed


class _Deformed(nn.Module):
    """A deformable convolution between two others; ``[B, 3, 8, 7]``."""

    def __init__(self, gelu: bool) -> None:
        super().__init__()
        self.first, self.offset, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 27, 3, padding=1), nn.Conv2d(4, 2, 1)
        self.deform = torchvision.ops.DeformConv2d(4, 4, 3, padding=1)
        self.act: nn.Module = nn.GELU() if gelu else nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.first(x))
        moved = self.offset(x) * 0.3
        out: Tensor = self.last(self.act(self.deform(x, moved[:, :18], torch.sigmoid(moved[:, 18:]))))
        return out


X = torch.randn(3, 3, 8, 7, generator=torch.Generator().manual_seed(2))


def _graph(int8: bool, gelu: bool = False) -> fx.GraphModule:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = _Deformed(gelu).eval()
    return fxpasses.quantize(model, X, [X], X86) if int8 else fxpasses.fuse(fxpasses.capture(model, X))


def _opset(content: bytes) -> int:
    return max(int(o.version) for o in model_of(content).opset_import if not o.domain)


@pytest.mark.parametrize(
    ("int8", "gelu", "opset"),
    [
        pytest.param(False, False, 19, marks=pytest.mark.slow),
        (True, False, 19),
        pytest.param(False, True, 20, marks=pytest.mark.slow),
    ],
)
def test_the_opset_that_the_graph_needs(int8: bool, gelu: bool, opset: int, tmp_path: Path) -> None:
    gm = _graph(int8, gelu)
    content = to_onnx(gm, tmp_path / "model.onnx").read_bytes()
    assert _opset(content) == opset
    assert close(run_file(content, (X[:1],)), outputs_of(to_torch(gm, "x86") if int8 else gm, (X[:1],)))


def test_an_older_one_is_refused_and_the_one_named_does(tmp_path: Path) -> None:
    gm = _graph(False)
    with pytest.raises(GraphError, match=r"(?s)opset 18 for this graph.*DeformConv.*leave opset out, or use opset=19"):
        to_onnx(gm, tmp_path / "model.onnx", opset=18)
    assert not list(tmp_path.iterdir())
    assert _opset(to_onnx(gm, tmp_path / "model.onnx", opset=19, verify=False).read_bytes()) == 19


def test_what_no_opset_has() -> None:
    model = onnx_file.onnx_model(fxpasses.capture(nn.Sequential(nn.Linear(3, 2), nn.ReLU()).eval(), torch.randn(2, 3)))
    assert opset_needed(model, DEFAULT_OPSET) is None
    next(iter(model.graph)).op_type = "Nonsense"
    with pytest.raises(GraphError, match=r"(?s)it would hold Nonsense.*fx.export.save\(graph, 'model.pt2'\)"):
        opset_needed(model, DEFAULT_OPSET)
    assert onnx.defs.has("DeformConv", 19, "") and not onnx.defs.has("DeformConv", DEFAULT_OPSET, "")
