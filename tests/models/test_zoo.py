"""Models by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from fxpasses.errors import InputError
from fxpasses.models.blueprint import unknown_name
from fxpasses.models.model_input import IMAGENET, UNIT_RANGE, Preprocessing
from fxpasses.models.training.settle import BATCH_NORMS
from fxpasses.models.zoo import ZOO, find_blueprint, load_model

OWN_FACTORIES = """
import torch
from torch import nn
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.model_input import Preprocessing

def grey():
    return nn.Conv2d(1, 4, 3), (1, 6, 5)

def alone():
    return nn.Conv2d(3, 4, 3)

def whole():
    return LoadedModel("mine", nn.Linear(7, 2), (7,), Preprocessing((0.1,), (2.0,)), False)

def not_a_model():
    return "resnet"

def bad_shape():
    return nn.Conv2d(1, 4, 3), (1, -6, 5)
"""


@pytest.fixture
def own_file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(OWN_FACTORIES)
    return path


LARGE = {"cifar_resnet18", "cifar_resnet44", "cifar_resnet56", "vgg_cifar"}
"""Nets that take a second each: for slow tests; smaller ones of their families are tried always."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n in LARGE else n for n in sorted(set(ZOO) - {"cifar_resnet110"})],
)
def test_every_zoo_model_gives_logits_that_depend_on_the_input(name: str) -> None:
    model = load_model(name)
    with torch.no_grad():
        logits = model.module(*model.example_inputs(batch=2))
    classes = 2 if name == "text_bag" else 10
    assert logits.shape == (2, classes)
    assert not model.pretrained
    assert not any(part.training for part in model.module.modules())
    assert not torch.equal(logits[0], logits[1])


def test_the_seed_alone_decides_the_weights_and_leaves_the_random_stream_alone() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (load_model("cifar_resnet20", seed=seed).module.state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["layer2.0.conv1.weight"], other["layer2.0.conv1.weight"])


def test_batch_norms_are_settled_unless_the_model_is_for_training() -> None:
    def running_means(module: nn.Module) -> list[torch.Tensor]:
        return [part.get_buffer("running_mean") for part in module.modules() if isinstance(part, BATCH_NORMS)]

    assert all(mean.abs().max() > 0 for mean in running_means(load_model("digits_cnn").module))
    assert all(mean.abs().max() == 0 for mean in running_means(load_model("digits_cnn", fresh=True).module))


def test_weights_are_loaded(tmp_path: Path) -> None:
    source = load_model("lenet", seed=5).module
    torch.save(source.state_dict(), tmp_path / "lenet.pt")
    model = load_model("lenet", tmp_path / "lenet.pt", seed=6)
    assert model.pretrained
    assert torch.equal(model.module.get_parameter("fc1.weight"), source.get_parameter("fc1.weight"))


@pytest.mark.parametrize(
    ("name", "preprocessing"), [("cifar_resnet20", IMAGENET), ("lenet", UNIT_RANGE), ("digits_cnn", UNIT_RANGE)]
)
def test_preprocessing_of_the_zoo(name: str, preprocessing: Preprocessing) -> None:
    assert find_blueprint(name).preprocessing == preprocessing


def test_own_factory_with_a_shape(own_file: Path) -> None:
    model = load_model(f"{own_file}:grey")
    assert (model.input_shape, model.preprocessing) == ((1, 6, 5), UNIT_RANGE)
    assert model.module(*model.example_inputs()).shape == (2, 4, 4, 3)


def test_own_factory_alone_takes_imagenet_images(own_file: Path) -> None:
    model = load_model(f"{own_file}:alone")
    assert (model.input_shape, model.preprocessing) == ((3, 224, 224), IMAGENET)


def test_own_factory_may_say_everything(own_file: Path) -> None:
    model = load_model(f"{own_file}:whole")
    assert (model.input_shape, model.preprocessing.std) == ((7,), (2.0,))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("cifar_resnet_20", "did you mean 'cifar_resnet20'"),
        ("no-such-thing", "choose one of cifar_mobilenet_v2.*or torchvision/NAME"),
        ("tochvision/resnet18", "unknown model 'tochvision/resnet18'"),
        ("", "unknown model ''"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=f"(?s){message}"):
        load_model(spec)


@pytest.mark.parametrize(
    ("factory", "message"), [("not_a_model", "gave a str.*torch.nn.Module"), ("bad_shape", r"shape \(1, -6, 5\)")]
)
def test_an_own_factory_must_return_a_model(own_file: Path, factory: str, message: str) -> None:
    with pytest.raises(InputError, match=f"(?s){message}"):
        load_model(f"{own_file}:{factory}")


def test_a_long_list_of_names_is_cut() -> None:
    error = unknown_name("number", "zzz", [f"{number:02}" for number in range(50)])
    assert "19, ..." in str(error)
    assert "20" not in str(error)


def test_an_onnx_file_is_refused_with_the_reason() -> None:
    with pytest.raises(InputError, match=r"(?s)cannot start from the ONNX file net\.onnx.*translators.*\.py:factory"):
        load_model("net.onnx")
