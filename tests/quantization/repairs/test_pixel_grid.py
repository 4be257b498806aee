"""Images on the grid of their pixels: levels are found, the function does not change, and nothing is rounded."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from int8_files import are_equal, exported, model_of, run_file
from tiny_graphs import exact_outputs, log_of, outputs_of
from tiny_nets.net import OneInput
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.errors import GraphError, InputError
from fxpasses.export.integer_tensors import torch_integers
from fxpasses.export.metadata import qparams_hash
from fxpasses.graph.stages import Stage, stage_of
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.quantization.int8.pixel_qparams import LEVELS
from fxpasses.quantization.numbers import ops
from fxpasses.quantization.repairs.pixel_grid import align_pixels, find_levels

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZE = 9
Body = Callable[..., object]


def pixels(count: int, channels: int = 3, seed: int = 0) -> Tensor:
    """Whole numbers from 0 to 255, including both ends."""
    made = torch.randint(LEVELS + 1, (count, channels, SIZE, SIZE), generator=torch.Generator().manual_seed(seed))
    made[0, :, 0, 0], made[0, :, 0, 1] = 0, LEVELS
    return made


def normalized(numbers: Tensor, mean: tuple[float, ...] = MEAN, std: tuple[float, ...] = STD) -> Tensor:
    shape = (1, -1, 1, 1)
    return (numbers / LEVELS - torch.tensor(mean).reshape(shape)) / torch.tensor(std).reshape(shape)


class Net(nn.Module):
    """A convolution with padding, so that borders count, and a classifier."""

    def __init__(self, channels: int = 3, padding: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 8, 3, padding=padding)
        self.fc = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc(self.conv(x).relu().mean((2, 3)))
        return y


def fused(net: nn.Module, images: Tensor) -> fx.GraphModule:
    torch.manual_seed(0)
    return fxpasses.fuse(fxpasses.capture(net.eval(), images[:2]))


def why_not(net: nn.Module, images: Tensor, config: QuantConfig | None = None) -> str:
    gm = fused(net, images)
    after = align_pixels(gm, [images], config)
    assert after.code == gm.code
    found = {skip.node: skip.why for skip in log_of(after, "align_pixels").result.skipped}
    return found["x"]


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.05, 2)), min_size=1, max_size=4), st.integers(0, 99))
def test_levels_are_those_of_the_normalization(channels: list[tuple[float, float]], seed: int) -> None:
    mean, std = zip(*channels, strict=True)
    levels = find_levels(normalized(pixels(4, len(channels), seed), mean, std))
    assert levels is not None
    assert levels.step.tolist() == pytest.approx([1 / LEVELS / s for s in std], rel=1e-4)
    assert levels.lowest.tolist() == pytest.approx([-m / s for m, s in channels], rel=1e-3, abs=1e-4)
    assert 0 <= levels.zero_point <= LEVELS


def test_levels_that_are_missing_are_shared_out() -> None:
    dark = pixels(4).clamp(11, 210)
    levels = find_levels(normalized(dark))
    assert levels is not None
    seen = (normalized(dark).amin((0, 2, 3)).double() - levels.lowest) / levels.step
    assert seen.round().tolist() == [(LEVELS - 199) // 2] * 3


NO_LEVELS: dict[str, Tensor] = {
    "noise": torch.randn(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)),
    "one channel of noise": torch.cat([normalized(pixels(4))[:, :2], torch.rand(4, 1, SIZE, SIZE)], 1),
    "more levels than a byte has": torch.arange(4 * 3 * SIZE * SIZE).reshape(4, 3, SIZE, SIZE).float(),
    "too few": normalized(pixels(4).div(64, rounding_mode="floor")),
    "uneven": normalized(pixels(4)).exp(),
    "not finite": torch.where(pixels(4) == 7, torch.inf, normalized(pixels(4))),
}


@pytest.mark.parametrize("case", NO_LEVELS)
def test_what_lies_on_no_levels_is_left_alone(case: str) -> None:
    assert find_levels(NO_LEVELS[case]) is None
    if case != "not finite":
        assert why_not(Net(), NO_LEVELS[case]) == "its values have no levels"


@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_function_stays_borders_included(channels: int, padding: int) -> None:
    mean, std = (0.5, 0.1, 0.9, 0.3)[:channels], (0.5, 0.2, 0.3, 1.0)[:channels]
    images = normalized(pixels(6, channels), mean, std)
    gm = fused(Net(channels, padding), images)
    after = align_pixels(gm, images.split(2))
    assert stage_of(after) is Stage.FLOAT and not any(n.target is ops.pixels for n in gm.graph.nodes)
    (new,) = [n for n in after.graph.nodes if n.target is ops.pixels]
    assert new.meta["shape"][1] % 4 == 0 and new.meta["shape"][1] > channels
    assert torch.allclose(after(images), gm(images), atol=1e-5)
    whole = ops.pixels(images, *new.args[1:])
    assert float((whole - whole.round()).abs().max()) < 1e-3
    assert torch.equal((whole - whole.amin((0, 2, 3), keepdim=True)).round()[:, :channels].long(), pixels(6, channels))


def test_pixels_come_through_int8_as_they_are() -> None:
    images = normalized(pixels(8))
    int8 = fxpasses.quantize(Net().eval(), images[:2], images.split(4))
    found = torch_integers(fxpasses.export.to_torch(int8), (images,))
    (name,) = [n.name for n in int8.graph.nodes if n.target is ops.quantize and n.args[0].target is ops.pixels]
    assert torch.equal(found[name][:, :3].long(), pixels(8))
    assert set(found[name][:, 3].flatten().tolist()) == {LEVELS}


def test_it_is_nearer_to_float() -> None:
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16 * (SIZE - 2) ** 2, 4)).eval()
    images = normalized(pixels(32))
    (exact,) = outputs_of(net, (images,))
    without, with_it = (
        fxpasses.quantize(net, images[:2], images.split(8), QuantConfig(pixel_grid=on))(images) for on in (False, True)
    )
    assert float((with_it - exact).square().sum()) < 0.8 * float((without - exact).square().sum())


@cache
def _made(target: str) -> tuple[fx.GraphModule, bytes]:
    """A net for a target as QUANTIZED graph, and its ONNX file; not to be changed."""
    images = normalized(pixels(8))
    int8 = fxpasses.quantize(Net().eval(), images[:2], images.split(4), QuantConfig(target=target))
    return int8, exported(int8)


@pytest.mark.parametrize("target", ["x86", "x86-avx2"])
@pytest.mark.parametrize("off_the_levels", [False, True])
def test_both_runtimes_and_exact_arithmetic_agree(off_the_levels: bool, target: str) -> None:
    images, (int8, content) = normalized(pixels(8)), _made(target)
    inputs = (torch.randn(5, 3, SIZE, SIZE) * 2,) if off_the_levels else (images,)
    expected = exact_outputs(int8, inputs)
    assert are_equal(outputs_of(fxpasses.export.to_torch(int8), inputs), expected)
    assert are_equal(run_file(content, inputs), expected)
    kinds = [n.op_type for n in model_of(content).graph.node]
    spread = target == "x86-avx2"
    expected_kinds = ["Mul", "Add", *(["Unsqueeze"] if spread else []), "QuantizeLinear", "Pad"]
    assert kinds[: len(expected_kinds)] == expected_kinds, "what is padded is bytes"


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_for_avx2_no_two_channels_of_an_image_are_neighbours(channels: int) -> None:
    """Weights of colours, which mostly have one sign, then keep 8 bits; the function does not change."""
    mean, std = (0.5, 0.3, 0.2, 0.1)[:channels], (0.2, 0.3, 0.4, 0.6)[:channels]
    images = normalized(pixels(8, channels), mean, std)
    gm = fused(Net(channels), images)
    after = align_pixels(gm, [images], QuantConfig(target="x86-avx2"))
    layer = after.get_submodule("conv")
    assert isinstance(layer, nn.Conv2d)
    assert layer.weight.shape[1] == 2 * (channels + 1)
    assert not layer.weight[:, 1 : 2 * channels : 2].any(), "beside a channel of the image stands a zero"
    torch.testing.assert_close(after(images), gm(images), rtol=1e-4, atol=1e-5)


def test_a_saved_graph_has_the_same_pixels(tmp_path: Any) -> None:
    images = normalized(pixels(8))
    int8 = fxpasses.quantize(Net().eval(), images[:2], images.split(4))
    loaded = fxpasses.export.load(fxpasses.export.save(int8, tmp_path / "m.pt2"))
    assert qparams_hash(loaded) == qparams_hash(int8)
    for engine in ("x86", "reference"):
        modules = [fxpasses.export.to_torch(gm, engine) for gm in (int8, loaded)]
        assert are_equal(*(outputs_of(m, (images,)) for m in modules))


GREY = (0.0,) * 3, (1.0,) * 3
REFUSED: dict[str, tuple[Callable[[], nn.Module], Tensor, str]] = {
    "one_grid": (Net, normalized(pixels(4), *GREY), "one scale fits its channels"),
    "another_reader": (
        lambda: OneInput(lambda net, x: net.a(x).mean((2, 3)) + x.mean(), a=nn.Conv2d(3, 8, 3)),
        normalized(pixels(4)),
        "reads it, and is no convolution",
    ),
    "in_groups": (lambda: nn.Conv2d(3, 6, 3, groups=3), normalized(pixels(4)), "in groups"),
    "reflected": (
        lambda: nn.Conv2d(3, 6, 3, padding=1, padding_mode="reflect"),
        normalized(pixels(4)),
        "reads it, and is no convolution",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_why_an_image_is_left_alone(case: str) -> None:
    build, images, why = REFUSED[case]
    gm = fused(build(), images)
    found = [skip.why for skip in log_of(align_pixels(gm, [images]), "align_pixels").result.skipped]
    assert len(found) == 1 and why in found[0]


def test_a_convolution_kept_in_float_reads_floats() -> None:
    config = QuantConfig(overrides=(Override("layer:conv", keep_float=True),))
    assert why_not(Net(), normalized(pixels(4)), config) == "conv reads it, and stays float"


@pytest.mark.parametrize(
    "config",
    [QuantConfig(target="cuda"), QuantConfig(exact=True), QuantConfig(activation_bits=16), QuantConfig(weight_bits=4)],
)
def test_settings_that_have_no_room_for_it(config: QuantConfig) -> None:
    images = normalized(pixels(4))
    gm = fused(Net(), images)
    assert align_pixels(gm, [images], config).code == gm.code


def test_a_convolution_called_twice_and_one_that_reads_something_else() -> None:
    images = normalized(pixels(6))
    net = OneInput(lambda net, x: net.a(net.a(x)) + net.b(x), a=nn.Conv2d(3, 3, 3, padding=1), b=nn.Conv2d(3, 3, 1))
    gm = fused(net, images)
    assert torch.allclose(align_pixels(gm, [images])(images), gm(images), atol=1e-4)


def test_who_reads_its_size_reads_the_image() -> None:
    images = normalized(pixels(6))
    net = OneInput(lambda net, x: net.a(x).reshape(x.size(0), x.size(1), -1), a=nn.Conv2d(3, 6, 3))
    gm = fused(net, images)
    after = align_pixels(gm, [images])
    assert log_of(after, "align_pixels").result.changed
    assert torch.allclose(after(images), gm(images), atol=1e-5)


def test_bad_input() -> None:
    images = normalized(pixels(4))
    with pytest.raises(InputError, match="calibration data"):
        align_pixels(fused(Net(), images), [])
    with pytest.raises(GraphError, match="align_pixels got a graph in stage OBSERVED"):
        align_pixels(fxpasses.observe(fused(Net(), images)), [images])
