"""``fxpasses score``: models by name, files, options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from cli_runs import fxpasses
from torch import nn

import fxpasses as package
from fxpasses.export import save
from fxpasses.export.packed_file import save_packed


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    graph = package.fuse(package.capture(nn.Sequential(nn.Linear(64, 32), nn.ReLU()).eval(), torch.randn(2, 64)))
    return save(graph, tmp_path_factory.mktemp("saved") / "net.pt2")


def test_a_model_by_name(tmp_path: Path) -> None:
    done = fxpasses("score", "lenet", "--base", "imagenet", "--json", tmp_path / "score.json")
    assert done.code == 0, done.err
    assert "conv1" in done.out and "sums of the exact width" in done.out and "MobileNetV2-1.4" in done.out
    document = json.loads((tmp_path / "score.json").read_text())
    assert document["subject"] == "lenet" and document["params"] == 431_080
    assert document["layers"][0]["name"] == "conv1" and document["accumulator"] == "32"


TIME_FIRST = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru, self.head = nn.GRU(6, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.gru(x)[0]).relu()

def make():
    return Net().eval(), torch.randn(5, 3, 6)
"""


def test_the_batch_may_be_behind_the_time(tmp_path: Path) -> None:
    """The operations are those with the batch in front: five steps of one sample."""
    counted = []
    for name, change in (("behind", ("", "")), ("front", ("nn.GRU(6, 4)", "nn.GRU(6, 4, batch_first=True)"))):
        text = TIME_FIRST.replace(*change) if name == "front" else TIME_FIRST
        (tmp_path / f"{name}.py").write_text(
            text.replace("randn(5, 3, 6)", "randn(3, 5, 6)" if name == "front" else "randn(5, 3, 6)")
        )
        done = fxpasses("score", tmp_path / f"{name}.py:make", "--json", tmp_path / "score.json")
        assert done.code == 0, done.err
        document = json.loads((tmp_path / "score.json").read_text())
        counted.append({key: value for key, value in document.items() if key != "subject"})
    assert counted[0] == counted[1]


def test_a_file(saved: Path) -> None:
    done = fxpasses("score", saved, "--no-layers", "--freebie", "--accumulator", "16", "--block", "4,4")
    assert done.code == 0, done.err
    assert "1,040 parameters" in done.out and "linear" not in done.out


def test_a_packed_file(saved: Path) -> None:
    packed = save_packed(package.export.load(saved), saved.with_suffix(".fxbits"))
    assert fxpasses("score", packed).out == fxpasses("score", saved).out


def test_the_freebie_is_refused(saved: Path) -> None:
    done = fxpasses("score", saved, "--freebie", "--base", "effdl", "--weights", "w.pt")
    assert done.code == 2 and "leave --weights out" in done.err


@pytest.mark.parametrize("block", ["4", "4,4,4", "0,4", "four"])
def test_blocks_are_two_numbers(saved: Path, block: str) -> None:
    done = fxpasses("score", saved, "--block", block)
    assert done.code == 2 and done.err
