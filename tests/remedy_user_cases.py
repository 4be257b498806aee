"""Errors of the caller's own models and data: what raises one, a part of its remedy, and the remedy taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from remedy_subjects import Case

from fxpasses.models.datasets import open_dataset
from fxpasses.models.model_input import ModelInput
from fxpasses.models.users.user_batches import Batch, BatchRules, checked_batches
from fxpasses.models.users.user_code import load_factory
from fxpasses.models.zoo import load_model

ROWS, LABELS = torch.ones(2, 3), torch.tensor([0, 1])
BATCHES, MODELS = "models/users/user_batches.py", "models/users/user_model.py"
_HEAD = "import torch\nfrom torch import nn\n\n\ndef make():\n    return "


def checked(batch: object, **rules: Any) -> Batch:
    return BatchRules("the data", (3,), **rules).checked(batch, 0)


def all_checked(*batches: object) -> list[Batch]:
    return list(checked_batches(lambda: batches, BatchRules("the data", (3,)), Path("data.py")))


def file(folder: Path, result: str) -> str:
    """A file whose factory ``make`` returns the given expression."""
    (folder / "own.py").write_text(f"{_HEAD}{result}\n")
    return f"{folder / 'own.py'}:make"


def model(folder: Path, result: str) -> Any:
    return load_model(file(folder, result))


def data(folder: Path, result: str) -> Any:
    return next(open_dataset(file(folder, result), ModelInput((3,))).evaluation(2))


USER_CASES: dict[str, Case] = {
    f"{BATCHES}:_checked_input": (
        lambda _: checked(torch.ones(2, 4)),
        "give batches of the model's shape",
        lambda _: (checked(ROWS), checked(torch.ones(3, 2), batch_dims=(1,))),
    ),
    f"{BATCHES}:_one_for_each": (
        lambda _: checked((ROWS, LABELS.to_sparse()), any_labels=True),
        "labels.to_dense().cpu()",
        lambda _: checked((ROWS, LABELS.to_sparse().to_dense().cpu()), any_labels=True),
    ),
    f"{BATCHES}:_one_for_each#2": (
        lambda _: checked((ROWS, ["one"]), any_labels=True),
        "give as many",
        lambda _: checked((ROWS, ["one", "two"]), any_labels=True),
    ),
    f"{BATCHES}:_require_for_logits": (
        lambda _: checked((ROWS, torch.zeros(2, 2, dtype=torch.long)), logits=(2,)),
        "give indices of classes, labels [B] for logits [B, classes]; or name a `metric` that takes these",
        lambda _: (
            checked((ROWS, LABELS), logits=(2,)),
            checked((ROWS, torch.zeros(2, 2, dtype=torch.long)), any_labels=True),
        ),
    ),
    f"{BATCHES}:_require_plain": (
        lambda _: checked(ROWS.to_sparse()),
        "give batch.to_dense()",
        lambda _: checked(ROWS.to_sparse().to_dense()),
    ),
    f"{BATCHES}:_require_plain#3": (
        lambda _: checked(ROWS.to(torch.float8_e4m3fn)),
        "give batch.float()",
        lambda _: checked(ROWS.to(torch.float8_e4m3fn).float()),
    ),
    f"{BATCHES}:_require_tokens": (
        lambda _: checked(ROWS, vocabulary=5),
        "give int64 indices of its vocabulary",
        lambda _: checked(ROWS.long(), vocabulary=5),
    ),
    f"{BATCHES}:checked": (
        lambda _: checked([[1.0, 2.0, 3.0]]),
        "convert it to tensors",
        lambda _: checked(torch.tensor([[1.0, 2.0, 3.0]])),
    ),
    f"{BATCHES}:checked#2": (
        lambda _: checked((ROWS, torch.ones(3, 4)), further_shapes=((4,),)),
        "give as many of each",
        lambda _: checked((ROWS, torch.ones(2, 4)), further_shapes=((4,),)),
    ),
    f"{BATCHES}:checked_batches": (
        lambda _: all_checked((ROWS, LABELS), ROWS),
        "give labels with every batch, or with none",
        lambda _: (all_checked((ROWS, LABELS), (ROWS, LABELS)), all_checked(ROWS, ROWS)),
    ),
    f"{BATCHES}:checked_batches#3": (
        lambda _: all_checked(),
        "give at least one batch",
        lambda _: all_checked(ROWS),
    ),
    "models/users/user_code.py:load_factory": (
        lambda folder: load_factory(file(folder, "1").removesuffix(":make")),
        "write path/file.py:factory",
        lambda folder: load_factory(file(folder, "1")),
    ),
    "models/users/user_code.py:load_factory#2": (
        lambda folder: load_factory(f"{folder / 'absent.py'}:make"),
        "check the path before the colon",
        lambda folder: load_factory(file(folder, "1")),
    ),
    "models/users/user_code.py:load_factory#3": (
        lambda folder: load_factory(file(folder, "1").replace(":make", ":made")),
        "name one of these after the colon",
        lambda folder: load_factory(file(folder, "1")),
    ),
    "models/users/user_data.py:user_data": (
        lambda folder: data(folder, "3"),
        "return an iterable of tensors or of (tensor, labels)",
        lambda folder: (data(folder, "[torch.ones(2, 3)]"), data(folder, "[(torch.ones(2, 3), torch.arange(2))]")),
    ),
    f"{MODELS}:_of_examples": (
        lambda folder: model(folder, "nn.Linear(3, 2), torch.ones(0, 3)"),
        "give example inputs of a whole batch: [B, ...]",
        lambda folder: model(folder, "nn.Linear(3, 2), torch.ones(2, 3)"),
    ),
    f"{MODELS}:_of_examples#2": (
        lambda folder: model(folder, "nn.Linear(3, 2), {'x': torch.ones(2, 3)}"),
        "give the dict in this order",
        lambda folder: model(folder, "nn.Linear(3, 2), {'input': torch.ones(2, 3)}"),
    ),
    f"{MODELS}:_require_module": (
        lambda folder: model(folder, "3"),
        "return the module, (module, (C, H, W)) or (module, example_inputs)",
        lambda folder: (
            model(folder, "nn.Linear(3, 2)"),
            model(folder, "nn.Conv2d(3, 2, 1), (3, 8, 8)"),
            model(folder, "nn.Linear(3, 2), torch.ones(2, 3)"),
        ),
    ),
    f"{MODELS}:_require_module#2": (
        lambda folder: model(folder, "nn.Linear(3, 2).half()"),
        "return model.float().cpu(), with weights in it",
        lambda folder: model(folder, "nn.Linear(3, 2).half().float().cpu()"),
    ),
    "models/model_input.py:checked_shape": (
        lambda folder: model(folder, "nn.Linear(3, 2), (3, -8, 8)"),
        "return (module, (C, H, W)), the shape without the batch",
        lambda folder: model(folder, "nn.Conv2d(3, 2, 1), (3, 8, 8)"),
    ),
}
