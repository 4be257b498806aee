"""Data by name: the meaning of ``--data`` of every command.

    digits                               scikit-learn's 8x8 digits, embedded
    mnist=DIR, fashion=DIR               idx files
    cifar10=DIR                          binary or python batches
    sst2=DIR                             sentences and their sentiment
    images=DIR                           train/CLASS/*.jpg and val/CLASS/*.jpg
    segmentation=DIR                     train/images/a.jpg and train/masks/a.png, the same under val
    coco=DIR                             annotations/instances_val2017.json and val2017/*.jpg, the same for train
    csv=FILE                             rows of numbers or image files, and a label
    random=3x224x224                     seeded noise, no labels
    path/file.py:factory                 the caller's own

Nothing is downloaded. Everything that can be wrong with a folder is an :class:`InputError` that names the file.
"""

from __future__ import annotations

from pathlib import Path

from fxpasses.errors import InputError

from .blueprint import unknown_name
from .data import cifar_files, digits, idx_files
from .data.coco_folder import coco_splits
from .data.csv_file import csv_splits
from .data.data_source import DataSource, Split, SplitSource, check_shape
from .data.image_folder import image_folder_splits
from .data.noise_data import noise_splits, parse_shape
from .data.segmentation_folder import segmentation_splits
from .data.sentences import SENTIMENTS, sentence_splits
from .model_input import InputShape, TakesInput
from .users.user_code import is_user_code
from .users.user_data import user_data

KINDS = ("digits", "mnist", "fashion", "cifar10", "images", "segmentation", "coco", "csv", "sst2", "random")


_MEANINGS = {"random": "SHAPE, for example random=3x224x224", "csv": "FILE, for example csv=data/table.csv"}


def open_dataset(spec: str, model: TakesInput, labels: Path | None = None) -> DataSource:
    """Open the data that a spec names, preprocessed for the model; ``labels`` is for ``images=`` only.

    Raises :class:`InputError` if the data cannot be used or does not have the model's input shape.
    """
    kind, equals, argument = spec.partition("=")
    if labels is not None and kind != "images":
        raise InputError(f"{spec} takes no labels file", why="only images=DIR has one", fix="leave `labels` out")
    if is_user_code(spec) and kind not in KINDS:
        return user_data(spec, model)
    if kind not in KINDS:
        raise unknown_name("data", kind, KINDS, also="path/file.py:factory")
    if kind == "digits":
        training, held_out = digits.digits_splits()
        return _arrays(spec, training, held_out, digits.SHAPE, digits.NUM_CLASSES, model)
    if not equals or not argument:
        meaning = _MEANINGS.get(kind, f"DIR, for example {kind}=data/{kind}")
        raise InputError(
            f"{spec!r} is incomplete", why=f"{kind} needs something after the =", fix=f"write {kind}={meaning}"
        )
    if kind == "random":
        shape = parse_shape(argument)
        check_shape(spec, shape, model)
        return SplitSource(spec, *noise_splits(shape), shape, None, None)
    if kind == "csv":
        splits = csv_splits(home_expanded(argument, spec), model.input_shape, spec)
        return SplitSource(spec, *splits, model.input_shape, model.preprocessing if splits[0].files else None, None)
    return _from_folder(kind, _existing(home_expanded(argument, spec), spec), spec, model, labels)


def _from_folder(kind: str, folder: Path, spec: str, model: TakesInput, labels: Path | None) -> DataSource:
    if kind == "images":
        training, held_out, classes = image_folder_splits(folder, model.input_shape, spec, labels)
        return SplitSource(spec, training, held_out, model.input_shape, model.preprocessing, classes)
    if kind == "segmentation":
        pairs = segmentation_splits(folder, model.input_shape, spec)
        return SplitSource(spec, *pairs, model.input_shape, model.preprocessing, None)
    if kind == "coco":
        first, second, classes = coco_splits(folder, model.input_shape, spec)
        return SplitSource(spec, first, second, model.input_shape, model.preprocessing, classes)
    if kind == "cifar10":
        return _arrays(spec, *cifar_files.cifar_splits(folder, spec), cifar_files.SHAPE, cifar_files.NUM_CLASSES, model)
    if kind == "sst2":
        return SplitSource(spec, *sentence_splits(folder, model, spec), model.input_shape, None, SENTIMENTS)
    return _arrays(spec, *idx_files.idx_splits(folder, spec), idx_files.SHAPE, idx_files.NUM_CLASSES, model)


def _arrays(
    spec: str, training: Split, held_out: Split, shape: InputShape, classes: int, model: TakesInput
) -> SplitSource:
    check_shape(spec, shape, model)
    return SplitSource(spec, training, held_out, shape, model.preprocessing, classes)


def home_expanded(path: str, spec: str) -> Path:
    """Expand ``~`` and ``~user`` in a path; InputError if there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"{spec}: cannot open {path}", why=str(error), fix="write the path out") from error


def _existing(folder: Path, spec: str) -> Path:
    if not folder.is_dir():
        why = "it is a file" if folder.exists() else "it does not exist"
        raise InputError(f"{spec}: cannot open the folder {folder}", why=why, fix="give the path of the data's folder")
    if not any(folder.iterdir()):
        raise InputError(
            f"{spec}: the folder {folder} is empty",
            why="there is nothing in it",
            fix="put the data there; nothing is downloaded",
        )
    return folder
