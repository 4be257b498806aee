"""Models from the caller's file: ``path/file.py:factory``.

The factory returns a module, ``(module, (C, H, W))``, ``(module, example inputs)``, or a whole
:class:`fxpasses.models.LoadedModel`. A module alone gets inputs of 3x224x224. Three channels mean ImageNet's
normalisation, others pixels / 255. Example inputs are a tensor ``[B, ...]``, a tuple of them, or a dict as a tokenizer
returns it, whose names are those of the first parameters of the module's ``forward``, in any order; the batch may be
another dimension, as in ``[T, B, C]``. The weights are used as they are.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from fxpasses.errors import InputError

from ..blueprint import Blueprint
from ..loaded_model import LoadedModel
from ..model_input import IMAGENET, UNIT_RANGE, InputShape, Preprocessing, checked_shape
from .user_code import call_factory, load_factory

DEFAULT_USER_SHAPE = (3, 224, 224)


def user_blueprint(spec: str) -> Blueprint:
    """Build a blueprint from the result of the caller's factory.

    Raises:
        InputError: it fails, or gives no model.
    """
    built = call_factory(load_factory(spec), spec)
    if isinstance(built, LoadedModel):
        return _of_loaded(built, spec)
    shape: object = DEFAULT_USER_SHAPE
    if isinstance(built, tuple) and len(built) == 2:
        built, shape = built
    module = _require_module(built, spec)
    examples = _examples(shape)
    if examples:
        return _of_examples(module, examples, tuple(map(str, shape)) if isinstance(shape, Mapping) else (), spec)
    _require_no_structure(shape, spec)
    user_shape = checked_shape(shape, f"{spec} gave the input shape {shape!r}")
    preprocessing = IMAGENET if user_shape[:1] == (3,) else UNIT_RANGE
    return Blueprint(lambda: module, user_shape, preprocessing, pretrained=True)


def _of_loaded(loaded: LoadedModel, spec: str) -> Blueprint:
    module = _require_module(loaded.module, spec)
    shape = checked_shape(loaded.input_shape, f"{spec} gave the input shape {loaded.input_shape!r}")
    preprocessing: object = loaded.preprocessing  # the caller's code may ignore annotations
    vocabulary: object = loaded.vocabulary
    if not isinstance(preprocessing, Preprocessing) or not isinstance(vocabulary, int | None):
        why = f"its preprocessing is {preprocessing!r}, its vocabulary {vocabulary!r}"
        raise InputError(f"{spec} gave a model that is not whole", why=why, fix="give a Preprocessing, and an int")
    return Blueprint(
        lambda: module, shape, preprocessing, vocabulary, loaded.examples, loaded.input_names, loaded.pretrained
    )


def _examples(given: object) -> tuple[Tensor, ...]:
    """Example inputs in order; empty if a shape was given."""
    values = list(given.values()) if isinstance(given, Mapping) else given
    if isinstance(values, Tensor):
        values = [values]
    if not isinstance(values, (tuple, list)) or not values or not all(isinstance(x, Tensor) for x in values):
        return ()
    return tuple(values)


def _require_no_structure(given: object, spec: str) -> None:
    """Raise InputError for example inputs among which are others than tensors; a shape holds none."""
    values = list(given.values()) if isinstance(given, Mapping) else given
    if not isinstance(values, (tuple, list)):
        return
    other = next((n for n, x in enumerate(values) if not isinstance(x, Tensor)), None)
    if other is not None and any(isinstance(x, Tensor) for x in tree_leaves(values)):
        raise InputError(
            f"{spec}: example input {other} is a {type(values[other]).__name__}",
            why="a command gives a model one tensor for each input",
            fix="wrap the model in a module that takes tensors and makes the rest of them; "
            "fx.quantize(model, inputs, batches) in Python takes it as it is",
        )


def _of_examples(module: nn.Module, examples: tuple[Tensor, ...], names: tuple[str, ...], spec: str) -> Blueprint:
    for number, example in enumerate(examples):
        if example.dim() < 1 or not example.numel():
            raise InputError(
                f"{spec}: example input {number} has the shape {list(example.shape)}",
                why="there is no sample in it",
                fix="give example inputs of a whole batch: [B, ...]",
            )
    taken = _first_parameters(module, len(examples))
    if names and set(taken) != set(names):
        raise InputError(
            f"{spec}: example inputs {', '.join(names)}",
            why=f"the first parameters of {type(module).__name__}.forward are {', '.join(taken)}",
            fix="give all of these, or wrap the module in one whose forward takes the inputs alone",
        )
    if names:
        examples = tuple(examples[names.index(name)] for name in taken)
    kept = tuple(example.detach() for example in examples)
    shape: InputShape = tuple(kept[0].shape[1:])
    return Blueprint(lambda: module, shape, UNIT_RANGE, examples=kept, input_names=taken, pretrained=True)


def _first_parameters(module: nn.Module, count: int) -> tuple[str, ...]:
    """Names of the first parameters of ``forward``; none if it has fewer that are named."""
    parameters = inspect.signature(module.forward).parameters.values()
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:count]
    return tuple(named) if len(named) == count else ()


def _require_module(module: object, spec: str) -> nn.Module:
    """Check that a model is float32 on the CPU; InputError for anything else."""
    if not isinstance(module, nn.Module):
        raise InputError(
            f"{spec} gave a {type(module).__name__}",
            why="a model is a torch.nn.Module",
            fix="return the module, (module, (C, H, W)) or (module, example_inputs)",
        )
    for name, weight in module.named_parameters():
        if weight.device.type != "cpu" or (weight.is_floating_point() and weight.dtype != torch.float32):
            kept = f"{str(weight.dtype).removeprefix('torch.')} on {weight.device}"
            raise InputError(
                f"{spec}: the weight {name} is {kept}",
                why="a float model is one of float32 on the CPU",
                fix="return model.float().cpu(), with weights in it",
            )
    return module
