"""Programs that are exported to ONNX without a second trace."""

from __future__ import annotations

import copy
from pathlib import Path

import onnx
import pytest
import torch
from onnxruntime import InferenceSession
from tiny_graphs import quantized
from torch import Tensor, nn

from fxpasses import capture
from fxpasses.export.onnx_writer import decomposed
from fxpasses.export.onnx_writer.decomposed import as_decomposed
from fxpasses.export.onnx_writer.write import to_onnx
from fxpasses.export.program import exported_program

aten = torch.ops.aten


class Pooled(nn.Module):
    def __init__(self, size: int, wide: bool = False) -> None:
        super().__init__()
        self.conv, self.pool, self.wide = nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(size), wide

    def forward(self, x: Tensor) -> Tensor:
        y = self.pool(self.conv(x).relu())
        flat: Tensor = y.flatten(1) if not self.wide else torch.stack([y, y]).add_(1.0)
        return flat


class Cast(Pooled):
    def forward(self, x: Tensor) -> Tensor:
        positive: Tensor = self.conv(x) > 0
        return positive.to(torch.float32)


def program_of(model: nn.Module) -> torch.export.ExportedProgram:
    batch = {0: torch.export.Dim("batch")}
    return torch.export.export(model.eval(), (torch.randn(2, 3, 12, 12),), dynamic_shapes=(batch,))


def targets(program: torch.export.ExportedProgram) -> set[str]:
    return {str(node.target) for node in program.graph.nodes if node.op == "call_function"}


def test_what_tracing_would_leave_alone_is_not_traced() -> None:
    program = program_of(Pooled(1))
    before = str(program.graph)
    table = {aten.adaptive_avg_pool2d.default: lambda x, size: aten.mean.dim(x, [-1, -2], True)}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch.export.ExportedProgram, "run_decompositions", _traced)
        done = as_decomposed(program).run_decompositions(table)
    assert str(program.graph) == before, "the program it was made of is left as it was"
    x = torch.randn(5, 3, 12, 12)
    assert torch.equal(done.module()(x), program.module()(x))
    assert targets(done) == {"aten.conv2d.default", "aten.relu.default", "aten.mean.dim", "aten.flatten.using_ints"}


def _traced(*_: object) -> None:
    raise AssertionError("it was traced again")


@pytest.mark.parametrize(
    ("model", "table"),
    [
        (Pooled(3), {aten.adaptive_avg_pool2d.default: aten._adaptive_avg_pool2d.default}),  # in the table
        (Pooled(1, wide=True), {}),  # writes to its input
        (Cast(1), {}),  # composite: in no table, opened all the same
    ],
)
def test_anything_else_is_traced(model: nn.Module, table: dict[object, object]) -> None:
    program = program_of(model)
    mine, torchs = as_decomposed(program).run_decompositions(table), program.run_decompositions(table)
    assert mine.graph_module.code == torchs.graph_module.code
    assert mine.graph_module.code != program.graph_module.code


def test_a_model_may_call_its_input_input() -> None:
    class Net(Pooled):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input)

    done = as_decomposed(program_of(Net(1))).run_decompositions({})
    assert [n.name for n in done.graph.nodes if n.op == "placeholder"][-1] == "input"


def test_an_editor_of_the_decomposed_graph_does_not_reach_the_program() -> None:
    program = program_of(Pooled(1))
    before = str(program.graph)
    done = as_decomposed(program).run_decompositions({})
    for node in done.graph.nodes:
        node.name = f"{node.name}_edited"
        node.meta["edited"] = True
    assert str(program.graph) == before
    assert not any("edited" in node.meta for node in program.graph.nodes)


class Translated(nn.Module):
    """All composite operators that are left to the exporter."""

    def __init__(self) -> None:
        super().__init__()
        self.flat, self.deep, self.line = nn.Conv2d(3, 4, 3), nn.Conv3d(1, 2, 1), nn.Conv1d(2, 2, 1)
        self.linear, self.norm = nn.Linear(100, 5), nn.LayerNorm(5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.deep(torch.max_pool2d(self.flat(x), 2).unsqueeze(1)).flatten(2, 4)
        rows = self.linear(self.line(y))
        return torch.matmul(torch.softmax(self.norm(rows), -1), rows.transpose(1, 2)).flatten(1)


def test_composite_operators_that_are_translated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(2, 3, 12, 12)
    graph = capture(Translated().eval(), x)
    program = exported_program(graph)
    assert {str(op) for op in decomposed._TRANSLATED} <= targets(program)
    with monkeypatch.context() as patched:
        patched.setattr(torch.export.ExportedProgram, "run_decompositions", _traced)
        quick = to_onnx(graph, tmp_path / "quick.onnx", program=program)
    monkeypatch.setattr("fxpasses.export.onnx_writer.write.as_decomposed", copy.copy)
    slow = to_onnx(graph, tmp_path / "traced.onnx", program=program)
    first, second = (InferenceSession(f).run(None, {"x": x.numpy()})[0] for f in (quick, slow))
    assert (first == second).all() and first.shape == (2, 4)


@pytest.mark.parametrize("name", ["residual_block", pytest.param("embedding_linear", marks=pytest.mark.slow)])
def test_the_file_computes_what_the_traced_one_does(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    int8 = quantized(name)
    quick = to_onnx(int8, tmp_path / "quick.onnx", program=exported_program(int8))
    monkeypatch.setattr("fxpasses.export.onnx_writer.write.as_decomposed", copy.copy)
    traced = to_onnx(int8, tmp_path / "traced.onnx", program=exported_program(int8))
    assert operators(quick) == operators(traced)
    assert initializers(quick) == initializers(traced)


def operators(path: Path) -> list[tuple[str, list[bytes]]]:
    return [(n.op_type, [a.SerializeToString() for a in n.attribute]) for n in onnx.load(path).graph.node]


def initializers(path: Path) -> list[bytes]:
    return sorted(t.raw_data for t in onnx.load(path).graph.initializer)


def test_a_global_pool_becomes_what_torch_makes_of_it() -> None:
    program = program_of(Pooled(1))
    traced = program.run_decompositions({**torch.export.default_decompositions()})
    mine = as_decomposed(program).run_decompositions({})
    for made in (traced, mine):
        assert [list(n.args[1:]) for n in made.graph.nodes if n.target is aten.mean.dim] == [[[-1, -2], True]]
