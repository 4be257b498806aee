"""The stand-alone runners, on this machine: what they print, and what they write."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from emulation.checks import RUNNER, TORCH_RUNNER
from emulation.int8_files import arrays_of
from int8_files import file_of, inputs_of
from tiny_graphs import quantized

import fxpasses

NET = "conv_depthwise_bn_relu6"


def printed_by(runner: Path, folder: Path, *files: dict[str, Any]) -> list[dict[str, str]]:
    job = folder / "job.json"
    job.write_text(json.dumps({"files": files}))
    done = subprocess.run([sys.executable, str(runner), str(job)], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def entry(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "model.onnx").write_bytes(file_of(NET))
    np.savez(tmp_path / "inputs.npz", *(x.numpy() for x in inputs_of(NET, 5)))
    names = {"path": "model.onnx", "inputs": "inputs.npz", "outputs": "outputs.npz", "pt2": "model.pt2"}
    return {
        "name": "net",
        "options": {"session.x64quantprecision": "1"},
        "batch": 2,
        "engine": "reference",
        **{key: str(tmp_path / name) for key, name in names.items()},
    }


def exact() -> Any:
    with torch.inference_mode():
        return fxpasses.export.to_torch(quantized(NET), engine="reference")(*inputs_of(NET, 5)).numpy()


def test_outputs_of_all_batches_are_written(tmp_path: Path, entry: dict[str, Any]) -> None:
    assert printed_by(RUNNER, tmp_path, entry) == [{"begun": "net"}, {"done": "net"}]
    (found,) = arrays_of(Path(entry["outputs"]))
    assert (found == exact()).all()


def test_a_file_that_is_refused_does_not_end_the_others(tmp_path: Path, entry: dict[str, Any]) -> None:
    missing = {**entry, "name": "missing", "path": str(tmp_path / "none.onnx")}
    told = printed_by(RUNNER, tmp_path, missing, entry)
    assert [list(line) for line in told] == [["begun"], ["failed", "why"], ["begun"], ["done"]]
    assert told[1]["failed"] == "missing" and "NoSuchFile" in told[1]["why"]


def test_runs_to_be_counted_write_no_outputs(tmp_path: Path, entry: dict[str, Any]) -> None:
    assert printed_by(RUNNER, tmp_path, {**entry, "runs": 2})[-1] == {"done": "net"}
    assert not Path(entry["outputs"]).exists()


@pytest.mark.slow  # imports torch in another process
def test_pytorch_gives_the_same(tmp_path: Path, entry: dict[str, Any]) -> None:
    fxpasses.export.save(quantized(NET), entry["pt2"])
    broken = {**entry, "name": "broken", "pt2": str(tmp_path / "inputs.npz")}
    told = printed_by(TORCH_RUNNER, tmp_path, entry, broken)
    assert told[:3] == [{"begun": "net"}, {"done": "net"}, {"begun": "broken"}]
    assert told[3]["failed"] == "broken" and told[3]["why"].startswith("InputError")
    (found,) = arrays_of(Path(entry["outputs"]))
    assert (found == exact()).all()
