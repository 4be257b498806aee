"""``fx.load`` opens every kind of file and folder that commands write."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from call_folders import NET, float_folder, int8_folder
from tiny_graphs import captured, fresh_inputs, quantized
from tiny_nets.all_nets import TINY

import fxpasses as fx
from fxpasses.calls.run_report import RunReport
from fxpasses.cli.pruning.steps import Pruning
from fxpasses.export.packed_file import save_packed
from fxpasses.export.pt2.save_and_load import save
from fxpasses.graph.stages import Stage, stage_of
from fxpasses.measure.runners import OnnxRunner
from fxpasses.precision.half import to_half
from fxpasses.pruning import Masks
from fxpasses.quantization.config import QuantConfig
from fxpasses.sensitivity.search.recipe_file import Recipe, recipe_toml


def test_a_folder_gives_its_int8_graph_and_each_file_what_it_is(tmp_path: Path) -> None:
    folder = int8_folder(tmp_path / "made")
    int8 = fx.load(str(folder))
    assert stage_of(int8) is Stage.QUANTIZED
    (images,) = fx.load(folder / "integers.npz")
    file = fx.load(folder / "model.int8.onnx")
    assert isinstance(file, OnnxRunner) and file.precision == "int8"
    assert torch.equal(file(images), fx.export.to_torch(int8)(images))
    assert isinstance(fx.load(folder / "report.json"), RunReport)


def test_a_folder_without_int8_gives_its_float_model(tmp_path: Path) -> None:
    x = fresh_inputs(TINY[NET], 0)
    assert torch.equal(fx.load(float_folder(tmp_path / "small"))(*x), captured(NET)(*x))


def test_graphs_of_every_kind(tmp_path: Path) -> None:
    x = fresh_inputs(TINY[NET], 0)
    program = torch.export.export(captured(NET), x)
    torch.export.save(program, tmp_path / "program.pt2")
    half = to_half(fx.fuse(captured(NET)), "fp16")
    for path in (
        tmp_path / "program.pt2",
        fx.export.save(captured(NET), tmp_path / "float.pt2"),
        fx.export.save(quantized(NET), tmp_path / "int8.pt2"),
        save(half, tmp_path / "half.pt2"),
        save_packed(quantized(NET), tmp_path / "packed.fxbits"),
    ):
        assert fx.load(path)(*x).shape == captured(NET)(*x).shape


def test_documents_and_masks(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(recipe_toml(Recipe(QuantConfig(target="arm"))))
    assert fx.load(tmp_path / "recipe.toml").config.target == "arm"
    (tmp_path / "recipe.json").write_text(json.dumps({"prune": asdict(Pruning(ratio=0.3))}))
    assert fx.load(tmp_path / "recipe.json") == Pruning(ratio=0.3)
    (tmp_path / "search.json").write_text('{"found": 1}')
    assert fx.load(tmp_path / "search.json") == {"found": 1}
    Masks({"0": torch.ones(2, 3, dtype=torch.bool)}).save(tmp_path / "masks.safetensors")
    assert fx.load(tmp_path / "masks.safetensors").keys() == {"0"}
