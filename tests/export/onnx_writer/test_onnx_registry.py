"""The table of translations is made once, and files are the same with it."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from types import ModuleType
from unittest import mock

import pytest
from tiny_graphs import quantized
from torch.onnx._internal.exporter._registration import ONNXRegistry

from fxpasses.export import to_onnx
from fxpasses.export.onnx_writer import registry
from fxpasses.export.onnx_writer import write as onnx_file
from fxpasses.export.onnx_writer.registry import kept_registry


def test_files_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    int8 = quantized("residual_block")
    kept = [to_onnx(int8, tmp_path / f"{n}.onnx").read_bytes() for n in range(2)]
    monkeypatch.setattr(onnx_file, "kept_registry", contextlib.nullcontext)
    assert kept == [to_onnx(int8, tmp_path / "plain.onnx").read_bytes()] * 2


def test_made_once_and_each_has_its_own() -> None:
    original = vars(ONNXRegistry)["from_torchlib"]
    with mock.patch.object(ONNXRegistry, "_register", autospec=True, side_effect=ONNXRegistry._register) as register:
        with kept_registry():
            first = ONNXRegistry.from_torchlib(opset_version=18)
            made = register.call_count
            second = ONNXRegistry.from_torchlib(opset_version=18)
        assert register.call_count == made
    name = next(iter(first.functions))
    first.functions[name].clear()
    assert second.functions[name]
    assert vars(ONNXRegistry)["from_torchlib"] is original


def test_another_torch_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(ONNXRegistry, "from_torchlib")
    with kept_registry():
        assert "from_torchlib" not in vars(ONNXRegistry)


def test_what_is_imported_later_has_its_translations(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch translates operators of torchvision from the moment it is imported."""
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    with kept_registry(), mock.patch.object(registry, "_tables", {}):
        ONNXRegistry.from_torchlib(opset_version=18)
        monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
        ONNXRegistry.from_torchlib(opset_version=18)
        assert len(registry._tables) == 2
