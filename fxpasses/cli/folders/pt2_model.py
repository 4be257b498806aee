"""Opens ``FILE.pt2``, a program of torch.export, as the model of a command, with this project's own reader."""

from __future__ import annotations

from pathlib import Path

import torch

from fxpasses.errors import InputError
from fxpasses.export.pt2.plain import load_float_program
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.model_input import IMAGENET, UNIT_RANGE

ENDING = ".pt2"


def program_model(spec: str, weights: Path | None, image_size: int | None) -> LoadedModel:
    """Load a program as a model with its own weights. Images are preprocessed as for a factory of the caller's.

    Raises:
        InputError: the file cannot be read safely, or an option sets what the file already has.
    """
    for option, value in (("--weights", weights), ("--image-size", image_size)):
        if value is not None:
            raise InputError(f"{option} with {spec}", why="the file has its own", fix=f"leave {option} out")
    module, examples = load_float_program(spec)
    shape = tuple(examples[0].shape[1:])
    preprocessing = IMAGENET if shape[:1] == (3,) and len(shape) == 3 else UNIT_RANGE
    generator = torch.Generator().manual_seed(0)
    noise = tuple(
        torch.randn(x.shape, generator=generator) if x.is_floating_point() else torch.zeros_like(x) for x in examples
    )
    return LoadedModel(spec, module, shape, preprocessing, True, examples=noise)
