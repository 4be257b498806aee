"""Preprocessing in the graph gives the same integers as outside, byte by byte; scaling may be in the graph, too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from bundle_folders import IMAGE, folder, graph, pixels
from int8_files import exported, model_of, run_file
from PIL import Image

from fxpasses.bundles import run
from fxpasses.bundles.image.image_graph import every_level, image_graph
from fxpasses.errors import InputError
from fxpasses.models.model_input import IMAGENET


def logits(model: onnx.ModelProto, images: torch.Tensor) -> torch.Tensor:
    return run_file(model.SerializeToString(), (images.numpy(),))[0]


@pytest.fixture(scope="module")
def int8() -> onnx.ModelProto:
    return onnx.load(folder() / "model.int8.onnx")


def test_bytes_go_straight_to_the_integers(int8: onnx.ModelProto) -> None:
    made = image_graph(int8, IMAGE)
    onnx.checker.check_model(made, full_check=True)
    operators = [node.op_type for node in made.graph.node]
    assert not {"Mul", "Add", "Cast", "Div", "Sub"} & set(operators[: operators.index("DequantizeLinear")])
    assert operators.count("QuantizeLinear") == [node.op_type for node in int8.graph.node].count("QuantizeLinear") - 1
    assert torch.equal(logits(made, pixels()), logits(int8, IMAGENET(pixels().permute(0, 3, 1, 2))))
    told = {entry.key: entry.value for entry in made.metadata_props}
    assert told["Image.BitmapPixelFormat"] == "Rgb8" and told["fxpasses.target"] == "x86-avx2"
    assert made.graph.input[0].type.denotation == "IMAGE"


@pytest.mark.parametrize(("target", "aligned"), [("x86", False), ("cuda", True)])
def test_other_grids_are_normalized_in_the_graph(target: str, aligned: bool) -> None:
    """Grids that are not the pixels' own: without aligned pixels, and with symmetric activations."""
    int8 = model_of(exported(graph(target, aligned)))
    made = image_graph(int8, IMAGE)
    assert [node.op_type for node in made.graph.node][:5] == ["Transpose", "Cast", "Div", "Sub", "Div"]
    assert torch.equal(logits(made, pixels()), logits(int8, IMAGENET(pixels().permute(0, 3, 1, 2))))


def test_another_normalization_than_that_of_the_grid_is_computed(int8: onnx.ModelProto) -> None:
    other = replace(IMAGE, mean=(0.5, 0.5, 0.5))
    made = image_graph(int8, other)
    assert "Sub" in [node.op_type for node in made.graph.node]
    assert torch.equal(logits(made, pixels()), logits(int8, other.normalized(pixels())))


def test_the_model_given_is_left_alone(int8: onnx.ModelProto) -> None:
    before = int8.SerializeToString(deterministic=True)
    image_graph(int8, replace(IMAGE, any_size=True))
    assert int8.SerializeToString(deterministic=True) == before


def test_an_image_of_the_models_size_is_not_scaled(int8: onnx.ModelProto) -> None:
    scaling, plain = (image_graph(int8, replace(IMAGE, any_size=any_size)) for any_size in (True, False))
    assert torch.equal(logits(scaling, pixels()), logits(plain, pixels()))


@pytest.mark.parametrize("size", [(9, 9), (7, 20), (31, 24), (5, 4), (64, 48)], ids=str)
def test_scaling_in_the_graph_is_nearly_pillows(int8: onnx.ModelProto, size: tuple[int, int], tmp_path: Path) -> None:
    """A pixel differs by at most two levels, in a few of a hundred."""
    made = image_graph(int8, replace(IMAGE, any_size=True))
    made.graph.output.append(onnx.helper.make_tensor_value_info("centre", onnx.TensorProto.UINT8, None))
    noise = np.random.default_rng(0).integers(256, size=(*reversed(size), 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    _, centre = run_file(made.SerializeToString(), (noise[None],))
    expected = run.pixels_of(str(tmp_path / "photo.png"), IMAGE.to_json())[0].astype(np.int64)
    apart = np.abs(centre[0].permute(1, 2, 0).numpy().astype(np.int64) - expected)
    assert centre.shape == (1, 3, 9, 7) and apart.max() <= 2 and (apart > 0).mean() < 0.1


def test_scaling_wants_an_opset_that_filters(int8: onnx.ModelProto) -> None:
    old = onnx.ModelProto()
    old.CopyFrom(int8)
    old.opset_import[0].version = 17
    with pytest.raises(InputError, match="in opset 17"):
        image_graph(old, replace(IMAGE, any_size=True))


def test_every_level_is_in_every_channel() -> None:
    images = every_level(IMAGE)
    assert all(images[..., channel].unique().numel() == 256 for channel in range(3))
