"""``hf/FOLDER``: a model that transformers' ``save_pretrained`` wrote, from its folder alone; nothing is downloaded.

``config.json`` names the architecture, ``model.safetensors`` holds the weights; pickled weights and code in the folder
are not read. Images are ``[B, C, H, W]``, sound is ``[B, samples]``, text is tokens. If the second parameter of the
model is the mask, text comes with it: its data gives dicts, as a tokenizer does with ``padding="max_length"``.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fxpasses.errors import InputError

from ..blueprint import Blueprint
from ..model_input import UNIT_RANGE, InputShape, Preprocessing

TOKENS, SAMPLES = 128, 16_000
MASK = "attention_mask"
HALF = Preprocessing((0.5,), (0.5,))
"""Normalisation that most image processors of transformers use; taken without ``preprocessor_config.json``."""


def hugging_face_blueprint(name: str, image_size: int | None = None) -> Blueprint:
    """Return the blueprint of the model in a folder.

    Raises:
        InputError: transformers is missing, the folder is not one of its models, or the model takes other inputs.
    """
    folder = Path(name).expanduser()
    for file, fix in (("config.json", "name a folder that save_pretrained wrote"), ("model.safetensors", SAFE)):
        if not (folder / file).is_file():
            raise InputError(f"hf/{name} has no {file}", why=f"{folder / file} does not exist", fix=fix)
    module = _loaded(folder, name)
    first, *rest = inspect.signature(module.forward).parameters
    config: Any = module.config
    if first == "input_ids":
        return _of_text(module, config, MASK if rest[:1] == [MASK] else None, image_size)
    if first == "pixel_values":
        size = image_size or getattr(config, "image_size", 224)
        height, width = (size, size) if isinstance(size, int) else tuple(map(int, size or ()))
        shape: InputShape = (getattr(config, "num_channels", 3), height, width)
        return Blueprint(lambda: module, shape, _preprocessing(folder), pretrained=True)
    if first == "input_values":
        return Blueprint(lambda: module, (image_size or SAMPLES,), UNIT_RANGE, pretrained=True)
    raise InputError(
        f"hf/{name} takes {first} first",
        why="only input_ids, pixel_values and input_values are known here",
        fix=FACTORY,
    )


FACTORY = "write a path/file.py:factory that returns the module and its example inputs"
SAFE = "save it with model.save_pretrained(folder, safe_serialization=True)"


def _loaded(folder: Path, name: str) -> nn.Module:
    try:
        import transformers
    except ImportError as error:
        raise InputError(
            f"cannot build hf/{name}",
            why="the package transformers is not installed",
            fix="pip install 'fxpasses[hf]'",
        ) from error
    from safetensors import SafetensorError
    from transformers import AutoConfig

    fix = FACTORY
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        kind = getattr(transformers, (config.architectures or ["?"])[0], None)
        if kind is None:
            raise ValueError(f"transformers has no {config.architectures}")
        fix = SAFE
        module = _with_weights(kind, folder)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise InputError(f"hf/{name} cannot be loaded", why=first_line or type(error).__name__, fix=fix) from error
    return module.eval()


def _with_weights(kind: Any, folder: Path) -> nn.Module:
    """A model with the weights of a folder; ValueError if some are missing, which transformers would make at random."""
    module: nn.Module
    module, found = kind.from_pretrained(
        folder,
        local_files_only=True,
        use_safetensors=True,
        dtype=torch.float32,
        attn_implementation="eager",
        output_loading_info=True,
    )
    missing = sorted(key for key in found["missing_keys"] if not key.endswith("num_batches_tracked"))
    if missing:
        raise ValueError(f"model.safetensors lacks {len(missing)} of its weights, among them {missing[0]}")
    return module


def _of_text(module: nn.Module, config: Any, mask: str | None, tokens: int | None) -> Blueprint:
    length = tokens or min(TOKENS, int(getattr(config, "max_position_embeddings", TOKENS)) // 4 * 4)
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(int(config.vocab_size), (2, length), generator=generator)
    if mask is None:
        return Blueprint(lambda: module, (length,), UNIT_RANGE, int(config.vocab_size), pretrained=True)
    examples: tuple[Tensor, ...] = (words, torch.ones_like(words))
    return Blueprint(
        lambda: module,
        (length,),
        UNIT_RANGE,
        int(config.vocab_size),
        examples=examples,
        input_names=("input_ids", mask),
        pretrained=True,
    )


def _preprocessing(folder: Path) -> Preprocessing:
    from fxpasses.formats.documents import read_json

    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return HALF
    content = read_json(path, "the preprocessing", "write image_mean and image_std")
    found = content if isinstance(content, dict) else {}
    mean, std = found.get("image_mean", HALF.mean), found.get("image_std", HALF.std)
    try:
        return Preprocessing(tuple(float(x) for x in mean), tuple(float(x) for x in std))
    except (TypeError, ValueError) as error:
        fix = "write numbers for each channel"
        raise InputError(f"{path}: image_mean {mean!r:.60}, image_std {std!r:.60}", why=str(error), fix=fix) from error
