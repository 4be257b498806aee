"""Files that compute something else than their graph: refused with the name of the node, or accepted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

import fxpasses
from fxpasses.errors import GraphError
from fxpasses.export.onnx_writer import verify as onnx_verify
from fxpasses.export.onnx_writer.verify import verify_onnx
from fxpasses.export.probe_inputs import probe_inputs
from fxpasses.graph.stages import graph_facts
from fxpasses.quantization.config import QuantConfig

CONFIG = QuantConfig(target="x86-avx2")


class Small(nn.Module):
    """``[B, 3, 9, 7]`` to ``[B, 4]``."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.first, self.second, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.first(x).relu()).relu()
        found: Tensor = self.head(y.mean((2, 3)))
        return found


@pytest.fixture(scope="module")
def graphs() -> dict[str, Any]:
    net, x = Small().eval(), torch.randn(2, 3, 9, 7, generator=torch.Generator().manual_seed(1))
    return {
        "float": fxpasses.fuse(fxpasses.capture(net, x)),
        "int8": fxpasses.quantize(net, x, [x], CONFIG),
    }


def spoilt(path: Path, spoil: Callable[[onnx.ModelProto], None]) -> Path:
    """The file with a change in it."""
    model = onnx.load(path)
    spoil(model)
    onnx.save(model, path)
    return path


def _other_weight(model: onnx.ModelProto) -> None:
    """Set the second convolution's largest weights to zero, one by one."""
    weights = [i for i in model.graph.initializer if list(i.dims) == [8, 8, 3, 3]]
    (weight,) = weights
    values = numpy_helper.to_array(weight).copy()
    values[0] = 0
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))


@pytest.mark.parametrize("kind", ["float", "int8"])
def test_a_right_file_is_let_through(kind: str, graphs: dict[str, Any], tmp_path: Path) -> None:
    verify_onnx(graphs[kind], fxpasses.export.to_onnx(graphs[kind], tmp_path / "a.onnx", verify=False))


@pytest.mark.parametrize(("kind", "node"), [("float", "second"), ("int8", "conv2d_1")])
def test_a_wrong_layer_is_named(kind: str, node: str, graphs: dict[str, Any], tmp_path: Path) -> None:
    path = fxpasses.export.to_onnx(graphs[kind], tmp_path / "a.onnx", verify=False)
    with pytest.raises(GraphError, match=f"node '{node}'") as raised:
        verify_onnx(graphs[kind], spoilt(path, _other_weight))
    assert "verify=False" in raised.value.fix


def test_nothing_is_written_that_is_wrong(
    graphs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong file is not written, and the old one stays."""
    path, verify = tmp_path / "a.onnx", onnx_verify.verify_onnx
    path.write_bytes(b"what was there")
    monkeypatch.setattr(
        onnx_verify, "verify_onnx", lambda gm, file, **how: verify(gm, spoilt(file, _other_weight), **how)
    )
    with pytest.raises(GraphError, match="computes something else"):
        fxpasses.export.to_onnx(graphs["float"], path)
    assert path.read_bytes() == b"what was there" and list(tmp_path.iterdir()) == [path]
    fxpasses.export.to_onnx(graphs["float"], path, verify=False)
    assert onnx.load(path).graph.node


def test_a_file_that_does_not_run_is_refused(graphs: dict[str, Any], tmp_path: Path) -> None:
    def no_such_operator(model: onnx.ModelProto) -> None:
        next(n for n in model.graph.node if n.op_type == "Relu").op_type = "Tan"
        model.graph.node[-1].domain = "nowhere"

    path = fxpasses.export.to_onnx(graphs["float"], tmp_path / "a.onnx", verify=False)
    with pytest.raises(GraphError, match="does not run the file"):
        verify_onnx(graphs["float"], spoilt(path, no_such_operator))


class Looked(nn.Module):
    """Look-up of table rows: a number beyond its end raises."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 3)

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        found: Tensor = self.table(x) * scale[:, None, None]
        return found


def test_probes_are_like_the_examples() -> None:
    examples = torch.tensor([[1, 4], [2, 3], [4, 4]]), torch.tensor([0.25, 0.5, 0.75])
    graph = fxpasses.capture(Looked().eval(), examples)
    whole, scale = probe_inputs(graph, dynamic_batch=False)
    assert whole.shape == (3, 2) and whole.dtype is torch.int64 and 1 <= int(whole.min()) <= int(whole.max()) <= 4
    assert scale.shape == (3,) and 0.25 <= float(scale.min()) < float(scale.max()) <= 0.75
    few = probe_inputs(graph)
    assert [len(x) for x in few] == [2, 2]
    assert all(torch.equal(a, b) for a, b in zip(few, probe_inputs(graph), strict=True))


def test_numbers_that_a_graph_refuses_are_no_reason_to_refuse_it(tmp_path: Path) -> None:
    graph = fxpasses.capture(Looked().eval(), (torch.tensor([[1, 4]]), torch.tensor([0.5])))
    path = fxpasses.export.to_onnx(graph, tmp_path / "a.onnx")
    graph_facts(graph).example_ranges = ((0.0, 900.0), None)
    verify_onnx(graph, path)
