"""Models in half or double precision: correct, or refused before any measurement with the remedy model.float()."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from int8_files import run_file
from tiny_graphs import X86, outputs_of
from torch import Tensor, nn

import fxpasses
from fxpasses import pruning
from fxpasses.errors import GraphError
from fxpasses.export import load, save, to_onnx, to_torch
from fxpasses.quantization.config import QuantConfig

DTYPES = [torch.float16, torch.bfloat16, torch.float64]
LAYERS = {
    "conv2d": (nn.Conv2d(3, 4, 3), (3, 6, 7)),
    "linear": (nn.Linear(6, 4), (6,)),
    "conv1d": (nn.Conv1d(3, 4, 3), (3, 7)),
    "conv_transpose2d": (nn.ConvTranspose2d(3, 4, 3), (3, 6, 7)),
}


def _model(name: str, dtype: torch.dtype) -> tuple[nn.Module, Tensor]:
    layer, shape = LAYERS[name]
    twin = type(layer)(*(3, 4, 3) if name != "linear" else (6, 4))
    twin.load_state_dict(layer.state_dict())
    generator = torch.Generator().manual_seed(1)
    return nn.Sequential(twin, nn.ReLU()).eval().to(dtype), torch.randn(5, *shape, generator=generator).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", sorted(LAYERS))
def test_quantize_says_what_to_do_and_that_works(name: str, dtype: torch.dtype) -> None:
    model, x = _model(name, dtype)
    with pytest.raises(GraphError, match=rf"(?s)its weights are {dtype}.*use model.float\(\)"):
        fxpasses.quantize(model, x, [x], X86)
    gm = fxpasses.quantize(model.float(), x.float(), [x.float()], X86)
    assert torch.isfinite(to_torch(gm)(x.float())).all()


@pytest.mark.parametrize("step", ["observe", "equalize", "align_pixels", "no equalization"])
def test_every_way_in_says_so(step: str) -> None:
    model, x = _model("conv2d", torch.float16)
    gm = fxpasses.fuse(fxpasses.capture(model, x))
    ways = {
        "observe": lambda: fxpasses.observe(gm, X86),
        "equalize": lambda: fxpasses.equalize(gm, [x]),
        "align_pixels": lambda: fxpasses.align_pixels(gm, [x]),
        "no equalization": lambda: fxpasses.quantize(
            model, x, [x], QuantConfig(target="x86", equalization=False, pixel_grid=False)
        ),
    }
    with pytest.raises(GraphError, match=r"its weights are torch\.float16"):
        ways[step]()


class _Mixed(nn.Module):
    """A layer in half precision inside a float32 net."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 5).half(), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.first(x.half()).float())
        return out


def test_a_layer_in_half_inside_a_float32_net() -> None:
    x = torch.randn(4, 6)
    with pytest.raises(GraphError, match=r"(?s)node 'first'.*torch.float16.*must not cast to another dtype"):
        fxpasses.quantize(_Mixed().eval(), x, [x], X86)


def test_arithmetic_in_double_behind_a_float32_net_is_nobodys_business() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 5)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.layer(x)
            return out.double() * 3

    x = torch.randn(4, 6)
    gm = fxpasses.quantize(Scaled().eval(), x, [x], X86)
    assert gm(x).dtype is torch.float64 and to_torch(gm)(x).dtype is torch.float64


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_pruned_saved_and_loaded_in_their_own_dtype(dtype: torch.dtype, tmp_path: Path) -> None:
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 12, 4)]
    model, x = nn.Sequential(*layers).eval().to(dtype), torch.randn(3, 3, 6, 5).to(dtype)
    gm = fxpasses.capture(model, x)
    removal = pruning.choose_channels(pruning.find_dependencies(gm), 0.5, pruning.channel_scores(gm, "l1"))
    small = pruning.shrink(removal)
    again = load(save(small, tmp_path / "model.pt2"))
    assert again(x).dtype is dtype and torch.equal(again(x), small(x))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_onnx_of_another_dtype_is_right_or_refused(dtype: torch.dtype, tmp_path: Path) -> None:
    model, x = _model("conv2d", dtype)
    gm = fxpasses.capture(model, x)
    if dtype is torch.float16:
        (found,) = run_file(to_onnx(gm, tmp_path / "model.onnx").read_bytes(), (x.numpy(),))
        assert found.dtype is dtype and torch.allclose(found, outputs_of(model, (x,))[0], atol=1e-2)
        return
    with pytest.raises(GraphError, match=r"(?s)does not run the file.*capture model.float\(\) instead"):
        to_onnx(gm, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
    to_onnx(fxpasses.capture(model.float(), x.float()), tmp_path / "model.onnx")  # the remedy


@pytest.mark.parametrize("what", ["parameters", "a buffer", "inputs"])
def test_tensors_without_values(what: str) -> None:
    model: Any = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    x, state = torch.randn(2, 3, 6, 6), model.state_dict()
    if what == "parameters":
        model = model.to("meta")
    elif what == "a buffer":
        model[1].running_mean = model[1].running_mean.to("meta")
    given = x.to("meta") if what == "inputs" else x
    with pytest.raises(GraphError, match=r"(?s)is on the meta device.*model.to_empty\(device='cpu'\)"):
        fxpasses.capture(model, given)
    model = model.to_empty(device="cpu")
    model.load_state_dict(state)
    assert torch.isfinite(fxpasses.capture(model, x)(x)).all()
