"""Every reader of files, with good files for it, for the fuzzer."""

from __future__ import annotations

import functools
import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import data_cases
import documents
import numpy as np
import safetensors.torch
import torch
from detector_nets import int8
from fuzzing import Reader, mutated_archive
from int8_files import inputs_of
from pt2_mutator import mutated_bytes, mutated_text
from pt2_seeds import saved, saved_lowered
from rich.console import Console
from tiny_graphs import quantized
from weight_cases import file_of

from fxpasses.agreement.stored_integers import stored_inputs
from fxpasses.audit.audit_file import audit
from fxpasses.cli.folders.fitting import fitted
from fxpasses.cli.folders.folder import data_of, input_of
from fxpasses.cli.pruning.recipe import read_recipe as read_prune_recipe
from fxpasses.detection.detector import Detector
from fxpasses.export import load, to_onnx
from fxpasses.export.onnx_reader import read_onnx
from fxpasses.export.pt2.lowered import load_lowered
from fxpasses.models.data.image_folder import image_folder_splits
from fxpasses.models.datasets import open_dataset
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.nets.digits_cnn import DigitsCnn
from fxpasses.models.weights.load import load_weights
from fxpasses.models.zoo import load_model
from fxpasses.pruning.masks.masks import Masks
from fxpasses.reports.console import print_report
from fxpasses.reports.document import read_report
from fxpasses.sensitivity.search.journal import Journal
from fxpasses.sensitivity.search.recipe_file import read_recipe

PT2_NETS = ("conv_bn_relu", "two_inputs", "dict_output", "attention", "channel_shuffle")


@functools.cache
def _onnx() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return to_onnx(quantized("conv_uneven"), Path(folder) / "m.onnx").read_bytes()


@functools.cache
def _integers() -> bytes:
    """A file of integers as ``store_integers`` writes it."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, input_0=inputs_of("conv_bn_relu")[0].numpy(), output_0=np.zeros((2, 3), np.float32))
    return buffer.getvalue()


@functools.cache
def _detector() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return int8("SSD").save(Path(folder) / "d.fxdet").read_bytes()


@functools.cache
def _masks() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        Masks({"conv": torch.tensor([True, False, True])}).save(Path(folder) / "masks.safetensors")
        return (Path(folder) / "masks.safetensors").read_bytes()


@functools.cache
def _model(name: str) -> LoadedModel:
    return load_model(name, fresh=True)


def _report(path: Path) -> None:
    report = read_report(path)
    print_report(report, Console(file=io.StringIO()))
    input_of(report, path.parent)
    data_of(report, path.parent)


def _labels(path: Path) -> None:
    image_folder_splits(path.parent, (3, 8, 8), "images=x", path)


def _lines(document: Sequence[object]) -> bytes:
    return b"".join(documents.as_json(line) + b"\n" for line in document)


def _mutated_line(data: bytes, random: Random) -> bytes:
    lines = data.splitlines(keepends=True)
    at = random.randrange(len(lines))
    return b"".join([*lines[:at], mutated_text(lines[at], random) + b"\n", *lines[at + 1 :]])


def _of_data(kind: str, name: str, place: str) -> Reader:
    """One file of a data set that is read completely."""
    make, net = data_cases.SETS[kind]

    def seeds() -> list[bytes]:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder))
            return [(Path(folder) / place).read_bytes()]

    def prepare(folder: Path) -> None:
        make(folder)
        (folder / place).unlink()
        (folder / place).symlink_to(folder / name)

    def read(path: Path) -> None:
        data = fitted(_model(net), open_dataset(f"{kinds[kind]}={path.parent}", _model(net)))
        list(data.calibration(data.calibration_images))
        list(data.evaluation())

    kinds = {"images": "images", "idx": "mnist", "cifar": "cifar10", "pickled cifar": "cifar10", "sentences": "sst2"}
    return Reader(name, seeds, mutated_bytes, read, prepare)


def _of_bytes(name: str, seed: Callable[[], bytes], read: Callable[[Path], object]) -> Reader:
    return Reader(name, lambda: [seed()], mutated_bytes, read)


def _of_json(name: str, seed: Callable[[], object], read: Callable[[Path], object]) -> Reader:
    return Reader(name, lambda: [documents.as_json(seed())], mutated_text, read)


READERS: dict[str, Reader] = {
    "pt2": Reader("m.pt2", lambda: [saved(net) for net in PT2_NETS], mutated_archive, load),
    "pt2 lowered": Reader("m.pt2", lambda: [saved_lowered()], mutated_archive, load_lowered),
    "detector": Reader("d.fxdet", lambda: [_detector()], mutated_archive, Detector.load),
    "onnx": _of_bytes("m.onnx", _onnx, read_onnx),
    "onnx audit": _of_bytes("m.onnx", _onnx, audit),
    "pt weights": Reader(
        "w.pt", lambda: [file_of(DigitsCnn().state_dict())], mutated_archive, lambda p: load_weights(DigitsCnn(), p)
    ),
    "safetensors weights": _of_bytes(
        "w.safetensors",
        lambda: safetensors.torch.save(DigitsCnn().state_dict()),
        lambda path: load_weights(DigitsCnn(), path),
    ),
    "masks": _of_bytes("m.safetensors", _masks, Masks.load),
    "integers": Reader("integers.npz", lambda: [_integers()], mutated_archive, stored_inputs),
    "report": _of_json("report.json", documents.report, _report),
    "recipe of quantize": _of_bytes("r.toml", lambda: documents.quant_recipe_text().encode(), read_recipe),
    "recipe of prune": _of_json("r.json", documents.prune_recipe, read_prune_recipe),
    "labels": Reader(
        "labels.json", lambda: [documents.as_json(documents.labels())], mutated_text, _labels, data_cases.images
    ),
    "journal": Reader(
        "j.jsonl", lambda: [_lines(documents.journal())], _mutated_line, lambda path: Journal(path, {"model": "net"})
    ),
    "png": _of_data("images", "mutated.png", "train/cat/0.png"),
    "jpeg": _of_data("images", "mutated.jpg", "val/dog/1.jpg"),
    "idx": _of_data("idx", "mutated-idx3", "train-images-idx3-ubyte"),
    "idx, compressed": _of_data("idx", "mutated-idx1.gz", "t10k-labels-idx1-ubyte.gz"),
    "cifar": _of_data("cifar", "mutated.bin", "data_batch_2.bin"),
    "pickled cifar": _of_data("pickled cifar", "mutated", "data_batch_2"),
    "sentences": _of_data("sentences", "mutated.tsv", "train.tsv"),
}
