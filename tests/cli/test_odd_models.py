"""Models with unusual inputs and outputs, in a file of the caller's, through the commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_runs import fxpasses
from odd_structures import Structure
from test_odd_structures import STRUCTURES

NET = '''
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass
class Found:
    logits: torch.Tensor
    features: Any = None
    loss: Any = None


class Net(nn.Module):
    """One number for each sample; a dataclass with lists and None."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(1, 16), nn.Linear(16, 3)

    def forward(self, x):
        y = self.first(x[:, None]).relu()
        return Found(self.last(y), features=[y])


class Whole(nn.Module):
    """Nothing of its one layer can go."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 8, 3)

    def forward(self, x, unused):
        return self.layer(x)


def net():
    return Net(), torch.rand(4)


def numbers():
    return [torch.linspace(-1, 1, 8) for _ in range(2)]


def whole():
    return Whole(), (torch.rand(2, 3, 8, 8), torch.rand(2, 5))


def images():
    return [(torch.rand(4, 3, 8, 8), torch.rand(4, 5))]
'''
SHORT = ("--calib", "4", "--eval", "4", "--no-bench", "--threads", "1")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("odd") / "net.py"
    path.write_text(NET)
    return path


def test_samples_of_one_number_and_a_dataclass(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = fxpasses("quantize", f"{file}:net", "--data", f"{file}:numbers", "--out", out, *SHORT)
    assert done.code == 0, done.err
    report = json.loads((out / "report.json").read_text())
    assert report["model_details"]["input_shape"] == []
    assert [output["output"] for output in report["outputs"]] == ["logits", "features.0"]
    assert all(output["sqnr_db"] > 20 for output in report["outputs"])
    done = fxpasses("parity", out, "--images", "4", "--node-images", "2", "--threads", "1")
    assert done.code == 0 and "the same integers" in done.out, done.err


def test_where_no_channel_can_go_masks_are_the_remedy(file: Path, tmp_path: Path) -> None:
    given = ("prune", f"{file}:whole", "--data", f"{file}:images", "--ratio", "0.5", "--out", tmp_path / "out", *SHORT)
    done = fxpasses(*given)
    assert done.code == 2 and "fix: prune single weights: --granularity weight" in done.err
    assert fxpasses(*given, "--granularity", "weight").code == 0


FACTORIES = """
import torch
from test_odd_structures import STRUCTURES, built, made

CASE = {case.name: case for case in STRUCTURES}["NAME"]


def net():
    return built(CASE), made(CASE, CASE.samples)


def batches():
    return [made(CASE, CASE.samples) for _ in range(4)]
"""


SHARE = STRUCTURES[::3]
"""A third, since each takes seconds. All of them go from capture to a file in ``test_odd_structures.py``."""


@pytest.mark.slow
@pytest.mark.parametrize("case", SHARE, ids=lambda case: case.name)
@pytest.mark.filterwarnings("ignore")  # torch warns of its own deprecations while it exports
def test_a_structure_works_or_is_refused(case: Structure, tmp_path: Path) -> None:
    file, out = tmp_path / "net.py", tmp_path / "out"
    file.write_text(FACTORIES.replace("NAME", case.name))
    done = fxpasses("quantize", f"{file}:net", "--data", f"{file}:batches", "--out", out, *SHORT)
    assert done.code in (0, 2), done.err
    if done.code == 2:
        assert done.err.count("\n  fix: ") == 1 and "tensor(" not in done.err
        return
    report = json.loads((out / "report.json").read_text())
    assert report["parity"]["max_lsb_at_any_node"] <= 1
    assert fxpasses("audit", out).code in (0, 1)
    done = fxpasses("parity", out, "--images", "4", "--node-images", "2", "--threads", "1")
    assert done.code == 0, done.err
