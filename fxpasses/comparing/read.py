"""Read any model as steps: an ``.onnx`` or ``.pt2`` file, a graph, or a module with example inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import fx, nn

from fxpasses.capturing.attempts import capture
from fxpasses.errors import GraphError, InputError
from fxpasses.graph.stages import Stage, stage_of

from .graph_steps import steps_of_graph
from .steps import ModelSteps

SUFFIXES = (".onnx", ".pt2")
_STAGES = (Stage.FLOAT, Stage.QUANTIZED, Stage.LOWERED)


def read_steps(model: str | Path | nn.Module, inputs: Any = None) -> ModelSteps:
    """A model as steps.

    Raises:
        InputError: a file cannot be read, or is of another kind, or a module comes without inputs.
        GraphError: a graph is in another stage, or a module cannot be captured.
    """
    if isinstance(model, str | Path):
        return _read_file(Path(model))
    stage = stage_of(model)
    if stage is not None and isinstance(model, fx.GraphModule):
        if stage not in _STAGES:
            raise GraphError(
                f"diff got a graph in stage {stage.value}",
                why="it stands between two stages: what it will compute is not settled",
                fix="int8 = fx.convert(graph), or diff the FLOAT graph it was made from",
                step="diff",
            )
        return ModelSteps(type(model).__name__, f"{stage.value} graph", steps_of_graph(model))
    if inputs is None:
        raise InputError(
            f"a {type(model).__name__} without inputs",
            why="a module has no graph until it is captured on example inputs",
            fix="fx.export.diff(a, b, inputs=example_inputs)",
        )
    return ModelSteps(type(model).__name__, "module", steps_of_graph(capture(model, inputs)))


def _read_file(path: Path) -> ModelSteps:
    if path.suffix.lower() == ".onnx":
        from fxpasses.export.onnx_reader import read_onnx

        from .onnx_steps import steps_of_onnx

        return ModelSteps(path.name, "ONNX file", steps_of_onnx(read_onnx(path)))
    if path.suffix.lower() != ".pt2":
        raise InputError(
            f"cannot compare {path}",
            why=f"files of the kind {path.suffix or 'without a suffix'} have no graph that is read here",
            fix=f"give files that end in {' or '.join(SUFFIXES)}, or modules: fx.export.diff(a, b, inputs=...)",
        )
    return _read_pt2(path)


def _read_pt2(path: Path) -> ModelSteps:
    from fxpasses.export.pt2.lowered import load_lowered
    from fxpasses.export.pt2.plain import load_float_program
    from fxpasses.export.pt2.save_and_load import load
    from fxpasses.export.pt2_records.archive import FACTS_ENTRY, read_entries
    from fxpasses.export.pt2_records.facts import facts_table
    from fxpasses.export.pt2_records.records import refusing

    with refusing(path):
        entries = read_entries(path, plain=True)
        facts = facts_table(entries) if FACTS_ENTRY in entries else None
    if facts is None:
        module, examples = load_float_program(path)
        return ModelSteps(path.name, "program of torch.export", steps_of_graph(capture(module, examples)))
    if "precision" in facts:
        lowered = load_lowered(path)
        assert isinstance(lowered, fx.GraphModule)
        return ModelSteps(path.name, "LOWERED graph", steps_of_graph(lowered))
    gm = load(path)
    stage = stage_of(gm)
    assert stage is not None
    return ModelSteps(path.name, f"{stage.value} graph", steps_of_graph(gm))
