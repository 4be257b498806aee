"""Errors of other data sets: files and names that raise one, a part of its remedy, and those with the remedy."""

from __future__ import annotations

import numpy as np
import torch
from data_set_files import (
    CIFAR,
    PARTS,
    PHOTO,
    batches,
    classes,
    digits,
    read,
    records,
    removed,
    sentences,
    table,
)
from remedy_subjects import Case

from fxpasses.models.data.data_source import check_count
from fxpasses.models.datasets import open_dataset
from fxpasses.models.model_input import ModelInput
from fxpasses.models.training.evaluation import evaluate_top1
from fxpasses.models.training.fine_tuning import Distillation, reestimate_batch_norm

FOLDERS, FILES = "models/data", "models/datasets.py"

TABLE_CASES: dict[str, Case] = {
    f"{FOLDERS}/csv_file.py:csv_splits": (
        lambda folder: table(folder, "a,label,split", "1,2,train", "1,2,val"),
        "choose a model of as many inputs",
        lambda folder: read(f"csv={folder / 't.csv'}", ModelInput((1,))),
    ),
    f"{FOLDERS}/csv_file.py:_read": (
        lambda folder: table(folder, "a,b,label", '1,"2,3'),
        "header",
        lambda folder: table(folder, "a,b,label,split", "1,2,3,train", "1,2,3,val"),
    ),
    f"{FOLDERS}/csv_file.py:_read#2": (
        lambda folder: table(folder, "a,b,label"),
        "header",
        lambda folder: table(folder, "a,b,label,split", "1,2,3,train", "1,2,3,val"),
    ),
    f"{FOLDERS}/csv_file.py:_read#3": (
        lambda folder: table(folder, "1,2,3", "4,5,6"),
        "header",
        lambda folder: table(folder, "a,b,label,split", "1,2,3,train", "4,5,6,val"),
    ),
    f"{FOLDERS}/csv_file.py:_read#4": (
        lambda folder: table(folder, "a,b,label,split", "1,2,3,train", "1,2,3,val", "1,2"),
        "fill or remove it",
        lambda folder: table(folder, "a,b,label,split", "1,2,3,train", "1,2,3,val"),
    ),
    f"{FOLDERS}/csv_file.py:_held_out": (
        lambda folder: table(folder, "a,b,label,split", "1,2,3,train", "1,2,3,test"),
        "write one",
        lambda folder: table(folder, "a,b,label,split", "1,2,3,train", "1,2,3,val"),
    ),
    f"{FOLDERS}/csv_file.py:_held_out#2": (
        lambda folder: table(folder, "a,b,label", "1,2,3"),
        "write a column split with both, or 5 rows or more",
        lambda folder: (
            table(folder, "a,b,label", *["1,2,3"] * 5),
            table(folder, "a,b,label,split", "1,2,3,train", "1,2,3,val"),
        ),
    ),
    f"{FOLDERS}/csv_file.py:_numbers": (
        lambda folder: table(folder, "a,b,label", *["1,two,3"] * 5),
        "header",
        lambda folder: table(folder, "a,b,label", *["1,2,3"] * 5),
    ),
    f"{FOLDERS}/sentences.py:sentence_splits": (
        lambda folder: sentences(folder, model=PHOTO),
        "choose a model for text",
        lambda folder: sentences(folder, model=ModelInput((4,))),
    ),
    f"{FOLDERS}/sentences.py:_read#2": (
        lambda folder: sentences(folder, "sentence\tlabel\ngood\t1\n"),
        "write sentence<TAB>label, without a header",
        lambda folder: sentences(folder, "good\t1\n"),
    ),
    f"{FOLDERS}/sentences.py:_read": (
        lambda folder: (
            sentences(folder),
            (folder / "dev.tsv").write_bytes(b"\xff\xfe"),
            read(f"sst2={folder}", ModelInput((4,))),
        ),
        "point to the folder of the .tsv files",
        lambda folder: sentences(folder),
    ),
    f"{FOLDERS}/idx_files.py:_find": (
        lambda folder: digits(folder, parts="train"),
        "the folder that holds the four idx files",
        lambda folder: digits(folder),
    ),
    f"{FOLDERS}/idx_files.py:idx_splits": (
        lambda folder: digits(folder, images=0, count=0),
        "fetch the four files again",
        lambda folder: digits(folder),
    ),
    f"{FOLDERS}/idx_files.py:_images": (
        lambda folder: digits(folder, images=3, count=2),
        "fetch the four files again",
        lambda folder: digits(folder),
    ),
    f"{FOLDERS}/idx_files.py:_corrupt": (
        lambda folder: digits(folder, cut=5),
        "fetch it again",
        lambda folder: digits(folder),
    ),
    f"{FOLDERS}/cifar_files.py:cifar_splits": (
        lambda folder: records(folder, parts=PARTS[:5]),
        "cifar-10-batches-bin",
        lambda folder: records(folder),
    ),
    f"{FOLDERS}/cifar_files.py:_binary": (
        lambda folder: records(folder) and read(f"cifar10={removed(folder, 'data_batch_2.bin')}", CIFAR),
        "cifar-10-batches-bin",
        lambda folder: records(folder),
    ),
    f"{FOLDERS}/cifar_files.py:_binary#2": (
        lambda folder: records(folder, cut=1),
        "fetch it again",
        lambda folder: records(folder),
    ),
    f"{FOLDERS}/cifar_files.py:_check_labels": (
        lambda folder: records(folder, label=10),
        "cifar-10-batches-bin",
        lambda folder: records(folder, label=9),
    ),
    f"{FOLDERS}/cifar_files.py:_read_batch": (
        lambda folder: batches(folder, raw=b"no pickle"),
        "fetch it again",
        lambda folder: batches(folder),
    ),
    f"{FOLDERS}/cifar_files.py:_read_batch#2": (
        lambda folder: batches(folder, data=np.zeros((1, 5), np.uint8)),
        "cifar-10-batches-bin",
        lambda folder: batches(folder),
    ),
    f"{FOLDERS}/cifar_files.py:_read_batch#3": (
        lambda folder: batches(folder, labels=[1, 2]),
        "cifar-10-batches-bin",
        lambda folder: batches(folder),
    ),
}

SOURCE_CASES: dict[str, Case] = {
    f"{FOLDERS}/data_source.py:check_count": (
        lambda _: check_count("images", 0),
        "ask for 1 or more",
        lambda _: check_count("images", 1),
    ),
    f"{FOLDERS}/data_source.py:check_count#2": (
        lambda _: check_count("images", 9, 3, "the data"),
        "ask for 3 or fewer",
        lambda _: check_count("images", 3, 3, "the data"),
    ),
    f"{FOLDERS}/data_source.py:check_shape": (
        lambda _: read("random=3x4x4"),
        "choose data of the model's size",
        lambda _: open_dataset("random=3x8x8", PHOTO),
    ),
    f"{FOLDERS}/noise_data.py:parse_shape": (
        lambda _: read("random=3*8*8"),
        "write for example random=3x224x224",
        lambda _: open_dataset("random=3x8x8", PHOTO),
    ),
    f"{FILES}:open_dataset": (
        lambda folder: open_dataset("random=3x8x8", PHOTO, folder / "labels.json"),
        "leave `labels` out",
        lambda _: open_dataset("random=3x8x8", PHOTO),
    ),
    f"{FILES}:open_dataset#2": (
        lambda _: open_dataset("random=", PHOTO),
        "write random=",
        lambda _: open_dataset("random=3x8x8", PHOTO),
    ),
    f"{FILES}:_existing": (
        lambda folder: read(f"images={folder / 'absent'}"),
        "give the path of the data's folder",
        lambda folder: classes(folder, "train", "val"),
    ),
    f"{FILES}:_existing#2": (
        lambda folder: read(f"images={folder}"),
        "put the data there; nothing is downloaded",
        lambda folder: classes(folder, "train", "val"),
    ),
    f"{FILES}:home_expanded": (
        lambda _: read("images=~nobody_has_this_name/x"),
        "write the path out",
        lambda folder: classes(folder, "train", "val"),
    ),
    "models/blueprint.py:unknown_name": (
        lambda _: read("digit"),
        "did you mean 'digits'?",
        lambda _: open_dataset("digits", ModelInput((1, 8, 8))),
    ),
    "models/model_input.py:checked_shape#2": (
        lambda _: read("random=3x99999x99999"),
        "use smaller inputs",
        lambda _: open_dataset("random=3x8x8", PHOTO),
    ),
    "models/training/evaluation.py:evaluate_top1": (
        lambda _: evaluate_top1(lambda x: x, [(torch.eye(2), None)]),
        "choose labelled data",
        lambda _: evaluate_top1(lambda x: x, [(torch.eye(2), torch.arange(2))]),
    ),
    "models/training/evaluation.py:evaluate_top1#2": (
        lambda _: evaluate_top1(lambda x: x, []),
        "give at least one batch",
        lambda _: evaluate_top1(lambda x: x, [(torch.eye(2), torch.arange(2))]),
    ),
    "models/training/fine_tuning.py:reestimate_batch_norm": (
        lambda _: reestimate_batch_norm(torch.nn.BatchNorm1d(2), []),
        "give at least one",
        lambda _: reestimate_batch_norm(torch.nn.BatchNorm1d(2), [torch.eye(2)]),
    ),
    "models/training/fine_tuning.py:__post_init__": (
        lambda _: Distillation(torch.nn.Identity(), weight=7.0),
        "use 0.7 and 4",
        lambda _: Distillation(torch.nn.Identity(), weight=0.7, temperature=4),
    ),
}

DATA_CASES: dict[str, Case] = TABLE_CASES | SOURCE_CASES
