"""A factory whose module does not take the assumed images is told what to return."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from cli_runs import fxpasses
from torch import nn

from fxpasses.cli.folders.captured_model import captured_model
from fxpasses.errors import GraphError
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.model_input import UNIT_RANGE

REMEDY = "(module, example_inputs)"
MODULE = "import torch\nfrom torch import nn\n\ndef bare():\n    return nn.Linear(16, 4).eval()\n"
DATA = "def data():\n    return [(torch.randn(2, 16),) for _ in range(4)]\n"


def model(name: str, *examples: torch.Tensor) -> LoadedModel:
    return LoadedModel(name, nn.Linear(16, 4).eval(), (3, 8, 8), UNIT_RANGE, pretrained=True, examples=examples)


def test_a_factory_that_gave_no_inputs() -> None:
    with pytest.raises(GraphError, match=r"\(module, example_inputs\)"):
        captured_model(model("net.py:make"))


@pytest.mark.parametrize("other", [model("zoo/net"), model("net.py:make", torch.randn(2, 8))])
def test_other_models_keep_the_remedy_for_examples(other: LoadedModel) -> None:
    with pytest.raises(GraphError, match="pass example inputs the model accepts"):
        captured_model(other)


def test_the_command_line_says_so_before_it_captures(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(MODULE + DATA)
    done = fxpasses("quantize", f"{file}:bare", "--data", f"{file}:data", "--out", tmp_path / "out")
    assert done.code == 2 and REMEDY in " ".join(done.err.split())
