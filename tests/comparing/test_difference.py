"""Changes between two models are counted exactly: none for a model and itself, every fold, every layer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from int8_files import exported
from tiny_graphs import captured, fused, quantized
from torch import nn

import fxpasses
from fxpasses.comparing.changes import Kind
from fxpasses.comparing.difference import Difference, diff
from fxpasses.export import exported_program, save, to_onnx
from fxpasses.models.training.settle import settle
from fxpasses.pruning import channel_scores, choose_channels, find_dependencies, shrink


class Residual(nn.Module):
    """A stem and one residual block, with operators that int8 treats differently: pool, add, average, linear."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width)
        self.conv, self.bn = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)
        self.pool, self.fc = nn.MaxPool2d(2), nn.Linear(width, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(torch.relu(self.norm(self.stem(x))))
        x = torch.relu(x + self.bn(self.conv(x)))
        found: torch.Tensor = self.fc(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))
        return found


IMAGES = torch.randn((2, 3, 8, 8), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a net as captured, fused and int8, in every kind of file."""
    folder = tmp_path_factory.mktemp("diff")
    model = settle(Residual(), example_inputs=(IMAGES,))
    graph = fxpasses.capture(model, (IMAGES,))
    int8 = fxpasses.quantize(model, (IMAGES,), [IMAGES], fxpasses.QuantConfig(target="x86"))
    save(graph, folder / "float.pt2")
    program = exported_program(int8)
    save(int8, folder / "int8.pt2", program=program)
    to_onnx(fxpasses.fuse(graph), folder / "fp32.onnx", verify=False)
    to_onnx(int8, folder / "int8.onnx", verify=False, program=program)
    to_onnx(int8, folder / "int8.qop.onnx", verify=False, program=program, form="qoperator")
    torch.export.save(torch.export.export(model, (IMAGES,)), folder / "program.pt2")
    return folder


def counted(found: Difference) -> dict[Kind, dict[str, int]]:
    return {kind: dict(counter) for kind, counter in found.counts().items()}


@pytest.mark.parametrize("b", ["int8.pt2", "int8.onnx", "int8.qop.onnx"])
@pytest.mark.parametrize("a", ["float.pt2", "program.pt2"])
def test_float_and_int8(files: Path, a: str, b: str) -> None:
    found = counted(diff(files / a, files / b))
    assert found[Kind.FOLDED] == {"batch_norm": 2}
    assert found[Kind.SATURATION] == {"relu": 2}
    assert found[Kind.INT8] == {"conv2d": 2, "add": 1, "adaptive_avg_pool2d": 1, "linear": 1}
    assert found[Kind.MOVED] == {"max_pool2d": 1, "flatten": 1}
    assert found[Kind.NEW]["quantize"] == 1
    assert found.keys() <= {Kind.FOLDED, Kind.SATURATION, Kind.INT8, Kind.MOVED, Kind.NEW, Kind.PADDED}


def test_a_module_and_its_int8_graph() -> None:
    model = settle(Residual(), example_inputs=(IMAGES,))
    int8 = fxpasses.quantize(model, (IMAGES,), [IMAGES], fxpasses.QuantConfig(target="x86"))
    assert counted(diff(model, int8, inputs=(IMAGES,)))[Kind.FOLDED] == {"batch_norm": 2}


def test_a_float_file_whose_batch_norms_are_folded_says_which_they_were(files: Path) -> None:
    found = diff(files / "fp32.onnx", files / "int8.onnx")
    assert Kind.FOLDED not in found.counts()
    assert found.folded_before() == ["norm", "bn"]
    assert "2 nodes had been folded into layers of A when it was made: norm, bn" in str(found)


def test_fusing_alone(files: Path) -> None:
    assert counted(diff(files / "float.pt2", files / "fp32.onnx")) == {Kind.FOLDED: {"batch_norm": 2}}


@pytest.mark.parametrize("name", ["float.pt2", "int8.pt2", "fp32.onnx", "int8.onnx", "int8.qop.onnx", "program.pt2"])
def test_a_model_and_itself(files: Path, name: str) -> None:
    found = diff(files / name, files / name)
    assert found.is_empty and found.counts() == {} and found.to_json()["nodes"] == []
    assert "No difference" in str(found)


@pytest.mark.parametrize(("a", "b"), [("float.pt2", "program.pt2"), ("int8.onnx", "int8.qop.onnx")])
def test_one_model_in_two_kinds_of_files(files: Path, a: str, b: str) -> None:
    assert diff(files / a, files / b).is_empty


def test_unrelated_models_are_said_to_be(files: Path) -> None:
    found = diff(files / "float.pt2", captured("attention"))
    assert not found.related and not found.is_empty and found.rows == ()
    assert "two unrelated models" in str(found)
    assert found.to_json()["related"] is False


def test_pruned_channels_are_named() -> None:
    model = settle(Residual(), example_inputs=(IMAGES,))
    graph = fxpasses.fuse(fxpasses.capture(model, (IMAGES,)))
    pruned = shrink(choose_channels(find_dependencies(graph), 0.5, channel_scores(graph)))
    found = diff(graph, pruned)
    words = {row.step.title: row.changes[0].words for row in found.changed}
    assert found.counts()[Kind.CHANNELS] == {"conv2d": 2, "linear": 1}
    assert words["stem"] == "8 -> 4 output channels"
    assert words["conv"] == "8 -> 4 output channels, 8 -> 4 input channels"
    assert words["fc"] == "8 -> 4 input channels"


def test_other_weights_are_seen() -> None:
    graph, other = fused("conv_bn_relu"), fxpasses.fuse(captured("conv_bn_relu"))
    weight = next(p for name, p in other.named_parameters() if name.endswith("weight"))
    with torch.no_grad():
        weight.view(-1)[0] += 1
    assert counted(diff(graph, other)) == {Kind.WEIGHTS: {"conv2d": 1}}


def test_another_target_is_seen() -> None:
    a, b = (
        quantized("conv_bn_relu"),
        quantized("conv_bn_relu", fxpasses.QuantConfig(target="x86", observer="histogram")),
    )
    assert diff(a, b).counts().keys() & {Kind.GRID, Kind.WEIGHTS}
    assert diff(a, a).is_empty


def test_json_has_both_sides_of_every_change(files: Path) -> None:
    found = diff(files / "float.pt2", files / "int8.onnx").to_json()
    conv = next(node for node in found["nodes"] if node["a"] and node["a"]["module"] == "conv")
    assert conv["a"]["precision"] == "float32" and conv["b"]["precision"] == "uint8"
    assert conv["changes"][0]["kind"] == "int8"
    assert found["counts"]["folded"] == {"batch_norm": 2}


def test_files_of_others_are_read_by_their_operators(tmp_path: Path) -> None:
    """Files without notes, which are our files with their metadata removed, are read by their operators."""
    import onnx

    model = onnx.load_from_string(exported(quantized("residual_block")))
    for node in model.graph.node:
        del node.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    found = counted(diff(captured("residual_block"), tmp_path / "bare.onnx"))
    noted = counted(diff(captured("residual_block"), quantized("residual_block")))
    assert found[Kind.INT8] == noted[Kind.INT8]
    assert found[Kind.FOLDED] == noted[Kind.FOLDED]


@pytest.mark.slow
def test_float_and_int8_resnet18() -> None:
    from torchvision.models import resnet18

    images = torch.rand(2, 3, 64, 64)
    model = settle(resnet18(weights=None).eval(), example_inputs=(images,))
    found = diff(model, fxpasses.quantize(model, images, [images]), inputs=images)
    assert counted(found)[Kind.FOLDED] == {"batch_norm": 20}
    assert counted(found)[Kind.INT8] == {"conv2d": 20, "add": 8, "adaptive_avg_pool2d": 1, "linear": 1}
    assert not any(row.step.operator == "batch_norm" for row in found.rows if not row.changes)
