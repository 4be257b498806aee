"""The table of decompositions is made once, again when operators are added, and files are the same with it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import torch
from tiny_graphs import quantized

from fxpasses.export import to_onnx
from fxpasses.export.onnx_writer import decompositions
from fxpasses.export.onnx_writer import write as onnx_file
from fxpasses.export.onnx_writer.decompositions import kept_decompositions


class Counting:
    """Stands for torch's function and counts its calls."""

    def __init__(self) -> None:
        self.calls, self.original = 0, torch.export.default_decompositions

    def __call__(self) -> object:
        self.calls += 1
        return self.original()


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    made = Counting()
    monkeypatch.setattr(torch.export, "default_decompositions", made)
    monkeypatch.setattr(decompositions, "_tables", {})
    return made


def test_files_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    int8 = quantized("softmax")
    kept = to_onnx(int8, tmp_path / "kept.onnx").read_bytes()
    monkeypatch.setattr(onnx_file, "kept_decompositions", contextlib.nullcontext)
    assert kept == to_onnx(int8, tmp_path / "plain.onnx").read_bytes()


def test_made_once_and_each_has_its_own(counting: Counting) -> None:
    with kept_decompositions():
        first, second = torch.export.default_decompositions(), torch.export.default_decompositions()
        expected = dict(counting.original().items())
        assert set(first) == set(expected)
        first.clear()
        assert set(second) == set(expected)
    assert counting.calls == 1
    assert torch.export.default_decompositions is counting


def test_a_new_operator_is_seen(counting: Counting) -> None:
    with kept_decompositions():
        torch.export.default_decompositions()
        library = torch.library.Library("fxpasses_test_decompositions", "DEF")
        try:
            library.define("double(Tensor x) -> Tensor")
            library.impl("double", lambda x: x + x, "CompositeImplicitAutograd")
            operator = torch.ops.fxpasses_test_decompositions.double.default
            assert operator in torch.export.default_decompositions()
            assert counting.calls == 2
        finally:
            library._destroy()


def test_another_torch_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.export, "default_decompositions")
    with kept_decompositions():
        assert not hasattr(torch.export, "default_decompositions")
