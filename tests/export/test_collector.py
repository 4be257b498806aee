"""The garbage collector is off while files are made, and restored afterwards."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from tiny_graphs import quantized

import fxpasses.export
from fxpasses.export import program
from fxpasses.export.collector import collector_paused
from fxpasses.export.onnx_writer import write as onnx_file
from fxpasses.export.pt2 import save_and_load as pt2_file


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    gc.enable()


def test_on_again_after_the_work_and_after_an_error() -> None:
    with collector_paused():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ValueError, match="stop"), collector_paused():
        raise ValueError("stop")
    assert gc.isenabled()


def test_who_switched_it_off_finds_it_off() -> None:
    gc.disable()
    with collector_paused():
        pass
    assert not gc.isenabled()


@pytest.mark.parametrize(
    ("module", "step"),
    [(program, "example_inputs"), (onnx_file, "write_model"), (pt2_file, "write_program")],
    ids=["exported_program", "to_onnx", "save"],
)
def test_exports_run_without_it(module: ModuleType, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    work = getattr(module, step)

    def watched(*args: object, **named: object) -> object:
        seen.append(gc.isenabled())
        return work(*args, **named)

    monkeypatch.setattr(module, step, watched)
    gm = quantized("conv_bn_relu")
    exported = fxpasses.export.exported_program(gm)
    fxpasses.export.to_onnx(gm, tmp_path / "a.onnx", program=exported)
    fxpasses.export.save(gm, tmp_path / "a.pt2", program=exported)
    assert seen == [False]
    assert gc.isenabled()
