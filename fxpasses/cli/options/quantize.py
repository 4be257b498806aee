"""The options of ``fxpasses quantize`` as one table: type, help, the setting each one sets, and its conflicts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from fxpasses.quantization.repair_table import RepairSettings

from . import shared
from .table import Row

STATIC, DYNAMIC, WEIGHT_ONLY, FP16, BF16 = METHODS = ("static", "dynamic", "weight-only", "fp16", "bf16")

_CALIBRATED = "nothing is calibrated: no range of an activation is chosen beforehand"
_SEARCHED = "the search is over static int8 models"
_TRAINED = "training is for static int8 models"
_FEW_BITS = "its weights have one width"
ALL, EIGHT_BITS = "all", 8


def _static(why_not: str, *, sets: str | None = None, in_recipe: bool = False, beside_qat: str = "may") -> Row:
    return Row((STATIC,), why_not, sets, in_recipe, beside_qat)


@dataclass(frozen=True, kw_only=True)
class _BeforeRepairs:
    """Options that the help lists above those of repairs."""

    method: Annotated[
        str,
        typer.Option(
            "--method",
            metavar="METHOD",
            help="static: int8 weights and activations, calibrated; dynamic: activations measured at every call; "
            "weight-only: int8 or int4 weights; fp16; bf16.",
        ),
    ] = STATIC
    target: Annotated[
        shared.Target,
        Row((STATIC, DYNAMIC), "its weights and activations are the same for all targets", "target", True),
    ] = "auto"
    observer: Annotated[shared.Observers, _static(_CALIBRATED, sets="observer", in_recipe=True, beside_qat="never")] = (
        None
    )
    keep_float: Annotated[shared.KeepFloat, Row(in_recipe=True)] = None
    calib: Annotated[shared.CalibrationImages, _static(_CALIBRATED)] = None


@dataclass(frozen=True, kw_only=True)
class QuantizeOptions(RepairSettings, _BeforeRepairs):
    """Options of ``fxpasses quantize``, as the command line spells them.

    Those of repairs come from their table. An option with a value is text here: settings are made from it later.
    """

    explain_repairs: Annotated[
        bool,
        typer.Option("--explain-repairs", help="Measure what each repair in use gained; takes as long again."),
        _static("repairs are of static int8 models", beside_qat="never"),
    ] = False
    exact: Annotated[
        bool,
        typer.Option("--exact", help="Refuse a model whose integers could differ between runtimes."),
        _static("only integers all the way through can be the same in both runtimes", sets="exact", in_recipe=True),
    ] = False
    max_drop: Annotated[
        float | None,
        shared.max_drop(
            "Search for the fastest int8 model that {loses}: observers, repairs, layers in float. Writes recipe.toml, "
            "search.json and pareto.png, too."
        ),
        _static(_SEARCHED, in_recipe=True, beside_qat="never"),
    ] = None
    recipe: Annotated[
        Path | None,
        typer.Option("--recipe", metavar="FILE", help="Take all settings from a recipe.toml.", show_default=False),
        _static("recipes are of static int8 models", beside_qat="never"),
    ] = None
    placement: Annotated[
        str,
        typer.Option(
            "--placement",
            metavar="NAME",
            help="Operators in int8: all that can be, or measured: kinds of operators that make the file faster in "
            "onnxruntime on this machine when left in float stay there.",
        ),
        _static("it is about which operators of a static model are int8", in_recipe=True, beside_qat="never"),
    ] = ALL
    workers: Annotated[shared.Workers, _static(_SEARCHED)] = 1
    backend: Annotated[shared.Backend, _static(_SEARCHED)] = "loky"
    form: Annotated[
        shared.Form,
        typer.Option("--form", metavar="FORM", help="Form of the int8 ONNX file: qdq or qoperator."),
        _static("Q/DQ pairs and QLinear operators are of static int8 files", in_recipe=True),
    ] = shared.Form.qdq
    opset: Annotated[shared.Opset, Row(in_recipe=True)] = None
    activation_bits: Annotated[
        int,
        typer.Option(
            "--activation-bits",
            metavar="N",
            help="8; or 16, for accuracy and for accelerators that have such kernels (QNN, Ethos-U): CPUs have none, "
            "and take longer than for fp32.",
        ),
        _static("its activations have one type", sets="activation_bits", in_recipe=True),
    ] = EIGHT_BITS
    bits: Annotated[
        int,
        typer.Option("--bits", metavar="N", help="Width of weights: 8 or 4; --method static: 2 to 8."),
        Row((STATIC, WEIGHT_ONLY), _FEW_BITS, "weight_bits", in_recipe=True),
    ] = EIGHT_BITS
    group_size: Annotated[
        int | None,
        typer.Option(
            "--group-size",
            metavar="N",
            help="Weights that share a step. Default: with 8 bits those of an output channel, with 4 bits or fewer 16; "
            "--method weight-only: 32, 64 or 128, with 4 bits 32.",
            show_default=False,
        ),
        Row((STATIC, WEIGHT_ONLY), _FEW_BITS, "group_size", in_recipe=True, beside_qat="never"),
    ] = None
    qat: Annotated[
        float | None,
        typer.Option(
            "--qat",
            callback=shared.finite,
            metavar="EPOCHS",
            help="Train for this number of epochs with simulated rounding, of weights and activations: --bits and "
            "--activation-bits of 2 to 8. Needs data with labels.",
            show_default=False,
        ),
        _static(_TRAINED, sets="epochs"),
    ] = None
    lr: Annotated[
        float | None,
        typer.Option(
            "--lr",
            callback=shared.finite,
            help="Learning rate of --qat at the start; default 0.01.",
            show_default=False,
        ),
        _static(_TRAINED, beside_qat="only"),
    ] = None
    augment: Annotated[shared.Augment, _static(_TRAINED, beside_qat="only")] = False
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            help="Checkpoint of --qat: written every 200 steps; training continues from it.",
            show_default=False,
        ),
        _static(_TRAINED, beside_qat="only"),
    ] = None
    compute: Annotated[
        str,
        typer.Option(
            "--compute",
            metavar="TYPE",
            help="For --method weight-only in onnxruntime: int8 (activations rounded by blocks; faster) or float.",
        ),
        Row((WEIGHT_ONLY,), "it is for weights of 8 or 4 bits that are multiplied in float"),
    ] = "int8"
    optimizer: Annotated[
        shared.FloatOptimizer,
        typer.Option(
            "--optimizer",
            metavar="TOOL",
            help="Optimizer of the float ONNX file: onnxruntime, onnxruntime-tools or none.",
        ),
    ] = shared.FloatOptimizer.onnxruntime
    device: Annotated[shared.Device, _static("its layers have no kernels on a GPU here")] = "cpu"
    dynamic_size: Annotated[
        bool,
        typer.Option(
            "--dynamic-size", help="Files that take images of any height and width, as detectors and segmenters do."
        ),
        _static("its files have the sizes of the example image", in_recipe=True),
    ] = False
