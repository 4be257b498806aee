"""Classifiers to measure coverage on, and the smallest images that each of them takes.

torchvision: all classifiers. timm: in every family (a module of ``timm.models``) the architecture with the fewest
parameters. Nothing is downloaded: weights are random, and BatchNorm statistics settled, so that folding them has an
effect.
"""

from __future__ import annotations

import torch

from fxpasses.errors import InputError
from fxpasses.models.loaded_model import LoadedModel, example_batch
from fxpasses.models.zoo import load_model

SMALL = 64
"""Side of the input, for models that take it."""

OTHER_SIZES = {"inception_v3": 96, "maxvit_t": 224, "vit_h_14": 70}
"""Sizes of torchvision's models that do not take 64: Inception shrinks it to nothing; others need fixed multiples."""

TIMM_SIZES = (SMALL, 96, 112, 128, 160, 192, 224, 256)
"""Sizes to try in this order, before the published one: windows and patches must divide the shrunk image."""

_DOES_NOT_TAKE = (RuntimeError, AssertionError, ValueError, IndexError, TypeError, ZeroDivisionError)
"""Errors of models for an image that they cannot divide into windows, or that shrinks to nothing."""


def classifiers() -> list[str]:
    """Names of all torchvision classification models."""
    import torchvision

    names: list[str] = torchvision.models.list_models(module=torchvision.models)
    return names


def timm_families() -> dict[str, list[str]]:
    """Architectures of every module of ``timm.models`` that registers any, without pretrained tags."""
    import timm

    found = {family: timm.list_models(module=family) for family in timm.list_modules()}
    return {family: names for family, names in found.items() if names}


def smallest_of(names: list[str]) -> str:
    """Name of the timm architecture with the fewest parameters; no memory is allocated for the models."""
    import timm

    def parameters(name: str) -> int:
        with torch.device("meta"):
            model = timm.create_model(name, pretrained=False)
        return sum(p.numel() for p in model.parameters())

    return min(names, key=parameters) if len(names) > 1 else names[0]


def open_model(spec: str) -> LoadedModel:
    """Open a model by its spec, on the smallest images it takes.

    Raises:
        InputError: there is no such model, or it takes no image of any size tried.
    """
    source, _, name = spec.partition("/")
    if source != "timm":
        return load_model(spec, image_size=OTHER_SIZES.get(name, SMALL))
    published = load_model(spec, fresh=True)
    tried = (_opened(spec, published, size) for size in TIMM_SIZES)
    return next((loaded for loaded in tried if loaded is not None), None) or load_model(spec)


def _opened(spec: str, published: LoadedModel, size: int) -> LoadedModel | None:
    """Open the model on images of that side; None if it does not take them."""
    try:
        with torch.no_grad():
            published.module(example_batch(1, (published.input_shape[0], size, size)))
        return load_model(spec, image_size=size)
    except (InputError, *_DOES_NOT_TAKE):
        return None
