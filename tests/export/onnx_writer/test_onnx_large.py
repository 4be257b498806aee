"""Files with weights in a second file: written, run, optimised, measured and compared like any other."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from int8_files import are_equal, image_net
from torch import fx, nn

import fxpasses
from fxpasses.errors import GraphError, InputError
from fxpasses.export import parity, to_onnx
from fxpasses.export.files import file_bytes
from fxpasses.export.onnx_reader import read_onnx
from fxpasses.export.onnx_writer import large as onnx_large
from fxpasses.export.onnx_writer import write as onnx_file
from fxpasses.export.onnx_writer.optimizer import optimize_onnx

FLOAT_ROUNDING = 1e-6


@cache
def _net() -> fx.GraphModule:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        layers = [nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 48), nn.ReLU(), nn.Linear(48, 4)]
        return fxpasses.capture(nn.Sequential(*layers).eval(), torch.randn(2, 64))


@pytest.fixture
def small_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that protobuf holds only 4000 bytes."""
    monkeypatch.setattr(onnx_large, "LARGEST_MESSAGE", 4000)


def _names(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


def _run(path: Path, x: torch.Tensor) -> torch.Tensor:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {session.get_inputs()[0].name: x.numpy()})[0])


def _is_right(path: Path) -> bool:
    x = torch.randn(5, 64)
    return torch.allclose(_run(path, x), _net()(x), atol=FLOAT_ROUNDING)


@pytest.mark.usefixtures("small_messages")
def test_weights_lie_beside_where_they_do_not_fit(tmp_path: Path) -> None:
    path = to_onnx(_net(), tmp_path / "model.onnx")
    assert _names(tmp_path) == {"model.onnx", "model.onnx.data"} and path.stat().st_size < 4000
    assert _is_right(path)
    assert file_bytes(path) > sum(p.numel() * 4 for p in _net().parameters())
    onnx.checker.check_model(str(path))


def test_one_file_where_they_fit_and_two_where_asked_for(tmp_path: Path) -> None:
    to_onnx(_net(), tmp_path / "model.onnx")
    assert _names(tmp_path) == {"model.onnx"}
    to_onnx(_net(), tmp_path / "model.onnx", external_data=True, verify=False)
    assert _names(tmp_path) == {"model.onnx", "model.onnx.data"} and _is_right(tmp_path / "model.onnx")


@pytest.mark.usefixtures("small_messages")
def test_one_file_where_one_is_asked_for(tmp_path: Path) -> None:
    assert _is_right(to_onnx(_net(), tmp_path / "model.onnx", external_data=False))
    assert _names(tmp_path) == {"model.onnx"}


def test_both_files_move_together(tmp_path: Path) -> None:
    """Both files can be moved together, because the model names the other by its name alone."""
    to_onnx(_net(), tmp_path / "model.onnx", external_data=True, verify=False)
    (tmp_path / "other").mkdir()
    for name in ("model.onnx", "model.onnx.data"):
        (tmp_path / name).rename(tmp_path / "other" / name)
    assert _is_right(tmp_path / "other" / "model.onnx")
    (tmp_path / "other" / "model.onnx.data").unlink()
    with pytest.raises(InputError, match="keep both files in one folder"):
        read_onnx(tmp_path / "other" / "model.onnx")


def test_nothing_is_left_where_the_check_fails(tmp_path: Path) -> None:
    def refuse(path: Path) -> None:
        assert _names(path.parent) == {"model.onnx", "model.onnx.data"}
        raise InputError("no", why="of a test", fix="none")

    model = onnx_file.onnx_model(_net())
    with pytest.raises(InputError, match="of a test"):
        onnx_large.write_with_weights_beside(model, tmp_path / "new" / "model.onnx", refuse)
    assert not _names(tmp_path)


def test_a_model_that_the_checker_refuses(tmp_path: Path) -> None:
    model = onnx_file.onnx_model(_net())
    next(iter(model.graph)).op_type = "Nonsense"
    for beside in (True, False):
        with pytest.raises(GraphError, match=r"(?s)onnx.checker: .*Nonsense.*fx.export.to_torch\(graph\)"):
            onnx_file.write_model(model, tmp_path / "model.onnx", None, beside)
    assert not _names(tmp_path)


@pytest.mark.usefixtures("small_messages")
@pytest.mark.parametrize("tool", ["onnxruntime", "none"])
@pytest.mark.parametrize("same", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_optimised(tool: str, same: bool, tmp_path: Path) -> None:
    path = to_onnx(_net(), tmp_path / "model.onnx", verify=False)
    wanted = path if same else tmp_path / "optimised.onnx"
    optimize_onnx(path, wanted, tool)  # type: ignore[arg-type]  # the two of the table
    assert _names(tmp_path) == {f"{p.name}{end}" for p in {path, wanted} for end in ("", ".data")}
    assert _is_right(path) and _is_right(wanted) and wanted.stat().st_size < 4000


@pytest.mark.usefixtures("small_messages")
def test_a_tool_that_knows_one_file_only(tmp_path: Path) -> None:
    path = to_onnx(_net(), tmp_path / "model.onnx", verify=False)
    with pytest.raises(InputError, match=r'(?s)larger than the 2 GB.*use `optimizer="onnxruntime"`'):
        optimize_onnx(path, path, "onnxruntime-tools")
    optimize_onnx(path, path, "onnxruntime")  # the remedy


@pytest.mark.parametrize("form", ["qdq", pytest.param("qoperator", marks=pytest.mark.slow)])
def test_int8_files_are_verified_and_compared(form: str, tmp_path: Path) -> None:
    path = to_onnx(image_net(), tmp_path / "model.onnx", external_data=True, form=form)  # type: ignore[arg-type]
    plain = to_onnx(image_net(), tmp_path / "plain.onnx", form=form, verify=False)  # type: ignore[arg-type]
    x = torch.randn(4, 3, 9, 7)
    assert are_equal([_run(path, x)], [_run(plain, x)])
    if form == "qdq":
        found = parity(image_net(), [x], onnx_path=path)
        assert found.max_lsb_at_any_node == 0 and re.search("at most 0 LSB", str(found))
