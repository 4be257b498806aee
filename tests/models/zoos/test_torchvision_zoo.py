"""torchvision's classifiers by name."""

from __future__ import annotations

import pytest
import torch

from fxpasses.errors import InputError
from fxpasses.models.zoo import load_model
from fxpasses.models.zoos.torchvision_zoo import torchvision_blueprint, torchvision_names

QUICK = [("resnet18", 32), ("shufflenet_v2_x0_5", 32), ("squeezenet1_1", 32), ("googlenet", 32), ("vit_b_32", 32)]
SLOW = [
    ("mobilenet_v3_small", 32),
    ("efficientnet_b0", 32),
    ("densenet121", 32),
    ("inception_v3", 75),
    ("convnext_tiny", 32),
    ("swin_t", 32),
    ("regnet_y_400mf", 32),
    ("mnasnet0_5", 32),
]
FAMILIES = [*QUICK, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)]


@pytest.mark.parametrize(("name", "size"), FAMILIES)
def test_one_of_each_family_gives_logits_that_depend_on_the_input(name: str, size: int) -> None:
    model = load_model(f"torchvision/{name}", image_size=size)
    with torch.no_grad():
        logits = model.module(*model.example_inputs(batch=2))
    assert logits.shape == (2, 1000)
    assert 0.01 < float(logits.std()) < 100
    assert float((logits[0] - logits[1]).std()) > 0.05 * float(logits.std())


@pytest.mark.parametrize(
    ("name", "size"),
    [("resnet18", 224), ("inception_v3", 299), ("vit_h_14", 224), ("efficientnet_b3", 300), ("regnet_y_128gf", 224)],
)
def test_the_published_input_is_known_without_a_download(name: str, size: int) -> None:
    assert torchvision_blueprint(name).input_shape == (3, size, size)


def test_the_published_normalisation_is_known() -> None:
    assert torchvision_blueprint("efficientnet_v2_l").preprocessing.mean == (0.5, 0.5, 0.5)
    assert torchvision_blueprint("resnet18").preprocessing.mean == (0.485, 0.456, 0.406)


def test_every_classifier_has_a_blueprint() -> None:
    names = torchvision_names()
    assert len(names) >= 80
    assert all(torchvision_blueprint(name).input_shape[1] >= 224 for name in names)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("inception_v3", 32, "at least 75x75"),
        ("vit_b_16", 40, "multiple of 16"),
        ("maxvit_t", 128, "multiple of 224"),
        ("swin_t", 8, "at least 32x32"),
    ],
)
def test_an_image_size_that_cannot_work_is_refused(name: str, size: int, message: str) -> None:
    with pytest.raises(InputError, match=f"(?s)cannot take {size}x{size}.*{message}"):
        torchvision_blueprint(name, size)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'resnet18'"):
        load_model("torchvision/resnet_18")
