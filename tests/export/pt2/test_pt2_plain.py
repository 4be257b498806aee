"""Float programs of torch.export as models to start from: read safely, captured, quantized by the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from cli_runs import fxpasses, is_refused
from torch import Tensor, nn

import fxpasses as fx
from fxpasses.errors import InputError
from fxpasses.export.pt2.plain import load_float_program


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm, self.head = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        features = torch.relu(self.norm(self.convolution(x)))
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    torch.manual_seed(0)
    net, example, path = Net().eval(), torch.randn(2, 1, 8, 8), tmp_path_factory.mktemp("pt2") / "net.pt2"
    torch.export.save(torch.export.export(net, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},)), path)
    return net, path


def test_a_program_computes_what_it_did(saved: tuple[nn.Module, Path]) -> None:
    net, path = saved
    module, examples = load_float_program(path)
    assert [(x.shape, x.dtype) for x in examples] == [((2, 1, 8, 8), torch.float32)]
    images = torch.randn(5, 1, 8, 8)
    graph = fx.fuse(fx.capture(module, examples))
    with torch.no_grad():
        assert torch.allclose(module(images), net(images), atol=1e-6)
        assert torch.allclose(graph(images), net(images), atol=1e-5)


@pytest.mark.slow
def test_the_command_line_starts_from_it(saved: tuple[nn.Module, Path], tmp_path: Path) -> None:
    _, path = saved
    small = ("--data", "digits", "--calib", "16", "--eval", "20", "--no-bench", "--threads", "1")
    done = fxpasses("quantize", path, *small, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert "int8 throughout" in done.out
    is_refused(fxpasses("quantize", path, *small, "--weights", path, "--out", tmp_path / "x"), "--weights with")


def test_what_is_no_float_program_is_refused(saved: tuple[nn.Module, Path], tmp_path: Path) -> None:
    net, path = saved
    int8 = fx.quantize(net, torch.randn(2, 1, 8, 8), [torch.randn(4, 1, 8, 8)])
    with pytest.raises(InputError, match="it is an int8 graph already"):
        load_float_program(fx.export.save(int8, tmp_path / "int8.pt2"))
    (tmp_path / "cut.pt2").write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"cut\.pt2"):
        load_float_program(tmp_path / "cut.pt2")
    with pytest.raises(InputError, match="no such file"):
        load_float_program(tmp_path / "gone.pt2")
