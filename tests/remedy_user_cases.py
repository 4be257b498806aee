"""Errors of the caller's own models and data: what raises one, a part of its remedy, and the remedy taken."""

from __future__ import annotations

from itertools import repeat
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from remedy_subjects import Case

from fxpasses.models.datasets import open_dataset
from fxpasses.models.model_input import ModelInput
from fxpasses.models.users import user_batches
from fxpasses.models.users.user_batches import Batch, BatchRules, checked_batches
from fxpasses.models.users.user_code import load_factory
from fxpasses.models.zoo import load_model

ROWS, LABELS = torch.ones(2, 3), torch.tensor([0, 1])
BATCHES, MODELS = "models/users/user_batches.py", "models/users/user_model.py"
_HEAD = "import torch\nfrom torch import nn\nfrom fxpasses.models.loaded_model import LoadedModel\n"
_HEAD += "from fxpasses.models.model_input import UNIT_RANGE\n\n\n"
_HEAD += "class Apart(nn.LSTM):\n    def __init__(self):\n        super().__init__(3, 4)\n\n"
_HEAD += "    def forward(self, x, h, c):\n        return super().forward(x, (h, c))\n\n\n"
_HEAD += "def make():\n    return "


def checked(batch: object, **rules: Any) -> Batch:
    return BatchRules("the data", (3,), **rules).checked(batch, 0)


def all_checked(*batches: object) -> list[Batch]:
    return list(checked_batches(lambda: batches, BatchRules("the data", (3,)), Path("data.py")))


def file(folder: Path, result: str) -> str:
    """A file whose factory ``make`` returns the given expression."""
    (folder / "own.py").write_text(f"{_HEAD}{result}\n")
    return f"{folder / 'own.py'}:make"


def all_empty() -> None:
    """Endless empty batches, given up after a few."""
    with patch.object(user_batches, "COUNTED", 10):
        next(checked_batches(lambda: repeat(ROWS[:0]), BatchRules("the data", (3,)), Path("data.py")))


def with_batches(folder: Path, body: str, **wanted: Any) -> Any:
    """Result of an evaluation on the batches of a factory with this body, and their number of inputs."""
    (folder / "own.py").write_text(f"import torch\n\n\ndef make():\n    {body}\n")
    source = open_dataset(f"{folder / 'own.py'}:make", ModelInput((3,)))
    return list(source.evaluation(512, **wanted)), source.calibration_images


def with_a_source(folder: Path, images: object) -> Any:
    """Number of images of a caller's own source that reports one."""
    (folder / "own.py").write_text(_SOURCE.format(images=images))
    return open_dataset(f"{folder / 'own.py'}:make", ModelInput((1, 8, 8))).calibration_images


def whole(vocabulary: str) -> str:
    """Expression for a loaded model with this vocabulary."""
    fields = f"(4,), UNIT_RANGE, pretrained=True, vocabulary={vocabulary}"
    return f"LoadedModel('net', nn.Sequential(nn.Embedding(5, 3), nn.Flatten()), {fields})"


_SOURCE = """
from fxpasses.models.datasets import open_dataset
from fxpasses.models.model_input import ModelInput


class Own:
    def __init__(self):
        self.digits = open_dataset("digits", ModelInput((1, 8, 8)))

    def __getattr__(self, name):
        return {images} if name == "calibration_images" else getattr(self.digits, name)


def make():
    return Own()
"""


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
    f"{BATCHES}:checked_batches#2": (
        lambda _: all_empty(),
        "end it, or give images",
        lambda _: (all_checked(ROWS[:0], ROWS), all_checked(ROWS[:0])),
    ),
    f"{BATCHES}:_require_plain#2": (
        lambda _: checked(ROWS.to("meta")),
        "give a batch that holds values, on the CPU",
        lambda _: checked(torch.ones_like(ROWS.to("meta"), device="cpu")),
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
    "models/users/user_data.py:calibration_images": (
        lambda folder: with_batches(folder, "return [torch.ones(0, 3)]"),
        "give at least one image",
        lambda folder: with_batches(folder, "return [torch.ones(0, 3), torch.ones(1, 3)]"),
    ),
    "models/users/user_data.py:evaluation": (
        lambda folder: with_batches(folder, "while True: yield torch.ones(512, 3)"),
        "have the factory return an iterable with a length, as a DataLoader",
        lambda folder: (
            with_batches(folder, "yield torch.ones(512, 3)"),
            with_batches(folder, "return [torch.ones(512, 3)] * 33"),
        ),
    ),
    "models/users/user_data.py:_resized": (
        lambda folder: with_batches(folder, "for _ in range(33): yield torch.ones(512, 3)", limit=17_000),
        "ask for 16896",
        lambda folder: with_batches(folder, "for _ in range(33): yield torch.ones(512, 3)", limit=16_896),
    ),
    "models/users/user_source.py:_number": (
        lambda folder: with_a_source(folder, 0),
        "return the true one",
        lambda folder: with_a_source(folder, 1000),
    ),
    f"{MODELS}:_of_loaded": (
        lambda folder: model(folder, whole("'five'")),
        "give a Preprocessing, and an int",
        lambda folder: model(folder, whole("5")),
    ),
    f"{MODELS}:_of_examples": (
        lambda folder: model(folder, "nn.Linear(3, 2), torch.ones(0, 3)"),
        "give example inputs of a whole batch: [B, ...]",
        lambda folder: model(folder, "nn.Linear(3, 2), torch.ones(2, 3)"),
    ),
    f"{MODELS}:_of_examples#2": (
        lambda folder: model(folder, "nn.Linear(3, 2), {'x': torch.ones(2, 3)}"),
        "give all of these",
        lambda folder: model(folder, "nn.Linear(3, 2), {'input': torch.ones(2, 3)}"),
    ),
    f"{MODELS}:_require_no_structure": (
        lambda folder: model(
            folder, "nn.LSTM(3, 4), (torch.ones(5, 2, 3), (torch.ones(1, 2, 4), torch.ones(1, 2, 4)))"
        ),
        "wrap the model in a module that takes tensors and makes the rest of them",
        lambda folder: model(folder, "Apart(), (torch.ones(5, 2, 3), torch.ones(1, 2, 4), torch.ones(1, 2, 4))"),
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
