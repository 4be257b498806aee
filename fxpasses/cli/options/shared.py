"""Options that several commands have: one spelling and one help text for all."""

from __future__ import annotations

import math
import os
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from fxpasses.errors import InputError

MOST_THREADS = max(16, 4 * (os.cpu_count() or 1))
"""Largest number of threads: with far more than there are CPUs, threads mostly wait; 100,000 end the process."""
MOST_SEED = 2**63 - 1
"""Largest seed: the largest int64, because torch and TOML read seeds as int64."""
MOST_IMAGES = 1_000_000_000
LARGEST_IMAGE = 65_536
MOST_EPOCHS = 1_000_000


def named_path(text: str) -> Path:
    """Return a path; typer reports an empty one, which would mean the working folder."""
    if not text.strip():
        raise typer.BadParameter("it is empty; name a folder or file, or write . for the working folder")
    return Path(text)


class Form(str, Enum):
    """Forms of an int8 ONNX file."""

    qdq = "qdq"
    qoperator = "qoperator"


class FloatOptimizer(str, Enum):
    """Tools that optimise the float ONNX file."""

    onnxruntime = "onnxruntime"
    onnxruntime_tools = "onnxruntime-tools"
    none = "none"


Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A zoo name (cifar_resnet20, lenet, ...), torchvision/NAME, timm/NAME, or path/file.py:factory.",
        show_default=False,
    ),
]
Data = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="DATA",
        help="digits, mnist=DIR, fashion=DIR, cifar10=DIR, sst2=DIR, images=DIR (train/ and val/, a folder for each "
        "class), segmentation=DIR (images and masks), coco=DIR, csv=FILE, random=3x224x224, or path/file.py:factory.",
        show_default=False,
    ),
]
OtherData = Annotated[
    str | None,
    typer.Option("--data", metavar="DATA", help="Other data than the report names.", show_default=False),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="A state dict or checkpoint: .pt, .pth, .ckpt or .safetensors. Without it the weights are random.",
        show_default=False,
    ),
]
WeightsKey = Annotated[
    str | None,
    typer.Option(
        "--weights-key",
        metavar="KEY",
        help="Key, or prefix of names, of the weights in a checkpoint that holds several; the error lists them.",
        show_default=False,
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        metavar="FILE",
        help="Class indices for images=DIR; default DIR/labels.json, else alphabetical.",
        show_default=False,
    ),
]
Metric = Annotated[
    str | None,
    typer.Option(
        "--metric",
        metavar="NAME",
        help="Metric to compare models by: top1 (default), top5, miou, map, mse, mae, psnr, wer, f1, or "
        "path/file.py:function; NAME@KEY is of another output than the first.",
        show_default=False,
    ),
]
ImageSize = Annotated[
    int | None,
    typer.Option(
        "--image-size",
        metavar="N",
        max=LARGEST_IMAGE,
        help="Height and width, for torchvision and timm models; default: as published.",
        show_default=False,
    ),
]
Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder that `fxpasses quantize --out DIR` wrote.", show_default=False)
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed", min=0, max=MOST_SEED, help="Seed of random weights and of the choice of calibration images."
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        max=MOST_THREADS,
        help="Threads to compute on; default: all that the process may use.",
        show_default=False,
    ),
]
Augment = Annotated[
    bool, typer.Option("--augment", help="Mirror and shift the training images: photographs, not digits.")
]
TrainInBfloat16 = Annotated[
    bool, typer.Option("--bf16", help="Train with products of bfloat16: faster where the CPU has avx512_bf16 or AMX.")
]
Workers = Annotated[
    int,
    typer.Option(
        "--workers", metavar="N", max=MOST_THREADS, help="Processes to measure in; each opens model and data itself."
    ),
]
Backend = Annotated[
    str,
    typer.Option("--backend", metavar="NAME", help="Kind of processes: loky (this machine), threading, dask or ray."),
]
Out = Annotated[
    Path,
    typer.Option(
        "--out",
        metavar="DIR",
        parser=named_path,
        help="Gets all files, or none if anything fails.",
        show_default=False,
    ),
]
Target = Annotated[
    str,
    typer.Option(
        "--target",
        metavar="TARGET",
        help="CPU or GPU to quantize for: auto (this machine's), x86 (VNNI or AMX), x86-avx2, arm or cuda.",
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="DEVICE",
        help="What PyTorch calibrates, trains, evaluates and times on: cpu, or cuda for an NVIDIA GPU. onnxruntime "
        "stays on the CPU.",
    ),
]
Observers = Annotated[
    list[str] | None,
    typer.Option(
        "--observer",
        metavar="[PATTERN=]NAME",
        help="histogram (default), minmax, moving_average, percentile:99.99, entropy, or sweep for the best of them; "
        "for the nodes, layers or operators that a pattern matches, or for all. May be repeated.",
        show_default=False,
    ),
]
KeepFloat = Annotated[
    list[str] | None,
    typer.Option(
        "--keep-float",
        metavar="PATTERN",
        help="Leave these nodes, layers or operators in float: layer1.*, linear, ... May be repeated.",
        show_default=False,
    ),
]
CalibrationImages = Annotated[
    int | None,
    typer.Option(
        "--calib",
        metavar="N",
        max=MOST_IMAGES,
        help="Calibration images; default: 256, or all if there are fewer.",
        show_default=False,
    ),
]
Opset = Annotated[
    int | None,
    typer.Option(
        "--opset",
        metavar="N",
        min=13,
        max=23,
        help="Version of ONNX operators in the files: 13 to 23; 13 to 17 for older runtimes. Default: 18, or the first "
        "that has all operators.",
        show_default=False,
    ),
]
Json = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE", help="Write the result as JSON; - is stdout.", show_default=False),
]


def whole_numbers(text: str, option: str, most: int) -> tuple[int, ...]:
    """``"1,2,8"`` as numbers up to ``most``; typer reports errors, with the name of the option."""
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a list of whole numbers such as 1,2,8", param_hint=option) from None
    if max(numbers) > most:
        raise typer.BadParameter(f"{max(numbers)} is more than {most}", param_hint=option)
    return numbers


def check_threads(threads: int | None) -> None:
    """Raise InputError for a number of threads that no process can have."""
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        why = "at least one is needed" if threads < 1 else "far more threads than CPUs wait for each other"
        raise InputError(f"threads: {threads}", why=why, fix=f"ask for 1 to {MOST_THREADS}, or leave it out")


def finite(number: float | None) -> float | None:
    """Return the number; typer reports NaN and infinity, which a comparison with a limit could let through."""
    if number is not None and not math.isfinite(number):
        raise typer.BadParameter(f"{number} is not a finite number")
    return number


def max_drop(searched: str) -> Any:
    """The option ``--max-drop``: every command searches for something else, within the same kind of loss.

    Args:
        searched: the command's help, in which ``{loses}`` stands for the words of the loss.
    """
    loses = "loses at most this many points of top-1, or this much of --metric"
    return typer.Option(
        "--max-drop", callback=finite, metavar="POINTS", help=searched.format(loses=loses), show_default=False
    )
