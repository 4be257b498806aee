"""``fxpasses quantize``: a float model in; ONNX files, a .pt2 and a report out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ..options import shared as options
from ..options.methods import STATIC, check_method, given_options, refuse_alien_options
from ..terminal import open_terminal


def quantize_command(
    context: typer.Context,
    model: options.Model,
    data: options.Data,
    out: options.Out,
    weights: options.Weights = None,
    weights_key: options.WeightsKey = None,
    labels: options.Labels = None,
    metric: options.Metric = None,
    image_size: options.ImageSize = None,
    method: Annotated[
        str,
        typer.Option(
            "--method",
            metavar="METHOD",
            help="static: int8 weights and activations, calibrated; dynamic: activations measured at every call; "
            "weight-only: int8 or int4 weights; fp16; bf16.",
        ),
    ] = STATIC,
    target: options.Target = "auto",
    observer: options.Observers = None,
    keep_float: options.KeepFloat = None,
    calib: options.CalibrationImages = None,
    equalize: Annotated[
        bool,
        typer.Option("--equalize/--no-equalize", help="Rescale channels so that one scale suits all of a tensor's."),
    ] = True,
    smooth: Annotated[
        str | None,
        typer.Option(
            "--smooth",
            metavar="ALPHA",
            help="SmoothQuant before equalization: move ranges of activations into weights; 0 to 1, or auto.",
            show_default=False,
        ),
    ] = None,
    bias_correction: Annotated[
        bool,
        typer.Option(
            "--bias-correction/--no-bias-correction", help="Take from biases what rounding weights adds on average."
        ),
    ] = True,
    pixel_grid: Annotated[
        bool,
        typer.Option(
            "--pixel-grid/--no-pixel-grid", help="Read images on the grid of their pixels, where they show one."
        ),
    ] = True,
    narrow: Annotated[
        bool,
        typer.Option(
            "--narrow-ranges/--no-narrow-ranges",
            help="Narrow the range of a tensor where that halves what its rounding does to the outputs.",
        ),
    ] = True,
    float_results: Annotated[
        bool,
        typer.Option(
            "--float-results/--no-float-results",
            help="Let linear layers that only float operators or the caller read give floats: logits are not rounded.",
        ),
    ] = True,
    reestimate: Annotated[
        bool,
        typer.Option("--reestimate", help="Correct scale and bias of each channel, as BatchNorm would; for few bits."),
    ] = False,
    explain_repairs: Annotated[
        bool,
        typer.Option("--explain-repairs", help="Measure what each repair in use gained; takes as long again."),
    ] = False,
    exact: Annotated[
        bool, typer.Option("--exact", help="Refuse a model whose integers could differ between runtimes.")
    ] = False,
    max_drop: Annotated[
        float | None,
        typer.Option(
            "--max-drop",
            callback=options.finite,
            metavar="POINTS",
            help="Search for the fastest int8 model that loses no more top-1, or no more of --metric: observers, "
            "repairs, layers in float. Writes recipe.toml, search.json and pareto.png, too.",
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option("--recipe", metavar="FILE", help="Take all settings from a recipe.toml.", show_default=False),
    ] = None,
    placement: Annotated[
        str,
        typer.Option(
            "--placement",
            metavar="NAME",
            help="Of int8: all operators that can be, or measured: kinds of operators that make the file faster in "
            "onnxruntime on this machine when left in float stay there.",
        ),
    ] = "all",
    workers: options.Workers = 1,
    backend: options.Backend = "loky",
    form: Annotated[
        options.Form, typer.Option("--form", metavar="FORM", help="Of the int8 ONNX file: qdq or qoperator.")
    ] = options.Form.qdq,
    activation_bits: Annotated[
        int,
        typer.Option(
            "--activation-bits",
            metavar="N",
            help="8; or 16, for accuracy and for accelerators that have such kernels (QNN, Ethos-U): CPUs have none, "
            "and take longer than for fp32.",
        ),
    ] = 8,
    bits: Annotated[int, typer.Option("--bits", metavar="N", help="Of weights: 8 or 4; --method static: 2 to 8.")] = 8,
    rounding: Annotated[
        str,
        typer.Option(
            "--rounding",
            metavar="NAME",
            help="Of weights: nearest, or learned from the calibration images, for few bits. Takes minutes.",
        ),
    ] = "nearest",
    group_size: Annotated[
        int | None,
        typer.Option(
            "--group-size",
            metavar="N",
            help="Weights that share a step. Default: with 8 bits those of an output channel, with 4 bits or fewer 16; "
            "--method weight-only: 32, 64 or 128, with 4 bits 32.",
            show_default=False,
        ),
    ] = None,
    qat: Annotated[
        float | None,
        typer.Option(
            "--qat",
            callback=options.finite,
            metavar="EPOCHS",
            help="Train so many epochs with what rounding does: --bits and --activation-bits of 2 to 8, not only of "
            "weights. Data with labels.",
            show_default=False,
        ),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option("--lr", callback=options.finite, help="Of --qat, at the start; default 0.01.", show_default=False),
    ] = None,
    augment: options.Augment = False,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            help="Of --qat: written every 200 steps, and gone on from if it is there.",
            show_default=False,
        ),
    ] = None,
    compute: Annotated[
        str,
        typer.Option(
            "--compute",
            metavar="TYPE",
            help="Of --method weight-only in onnxruntime: int8 (activations rounded by blocks; faster) or float.",
        ),
    ] = "int8",
    optimizer: Annotated[
        options.FloatOptimizer,
        typer.Option(
            "--optimizer", metavar="TOOL", help="Of the float ONNX file: onnxruntime, onnxruntime-tools or none."
        ),
    ] = options.FloatOptimizer.onnxruntime,
    evaluate: Annotated[
        int,
        typer.Option("--eval", metavar="N", max=options.MOST_IMAGES, help="Images to measure accuracy on, at most."),
    ] = 1000,
    bench: Annotated[bool, typer.Option("--bench/--no-bench", help="Measure latency, shortly.")] = True,
    dynamic_size: Annotated[
        bool,
        typer.Option(
            "--dynamic-size", help="Files that take images of any height and width, as detectors and segmenters do."
        ),
    ] = False,
    seed: options.Seed = 0,
    threads: options.Threads = None,
    device: options.Device = "cpu",
    json: options.Json = None,
) -> None:
    """Quantize a model to int8 for PyTorch and onnxruntime.

    Writes model.fp32.onnx, model.int8.onnx, model.int8.pt2, report.json and report.html into DIR; other methods name
    their files after their precision, as model.fp16.onnx.

    fxpasses quantize torchvision/mobilenet_v2 --weights mobilenet_v2.pth --data images=imagenet --out mobilenet
    """
    with open_terminal(json) as terminal:
        check_method(method)
        refuse_alien_options(method, given := given_options(context))
        terminal.load("torch", "onnx", "onnxruntime")
        from ..folders.artifacts import journal_beside
        from ..folders.folder import DataChoice, ModelChoice
        from ..options.static import StaticOptions
        from ..static.qat import QatOptions, qat_of
        from ..static.quantize_model import Settings
        from ..static.recipe_option import Wish
        from ..static.run import quantize_static

        chosen, source = ModelChoice(model, weights, seed, image_size, weights_key), DataChoice(data, labels, metric)
        if method != STATIC:
            from ..precision.run import LoweredSettings, MethodOptions, quantize_lowered

            how = MethodOptions(method, keep_float or [], target, bits, group_size, compute)
            measured = LoweredSettings(evaluate, optimizer.value, bench, threads)
            quantize_lowered(chosen, source, out, how, measured, terminal)
            return
        static = StaticOptions(observer, keep_float, target, exact, equalize, bias_correction, bits, rounding)
        static = replace(static, smooth=smooth, reestimate=reestimate, group_size=group_size, pixel_grid=pixel_grid)
        static = replace(static, activation_bits=activation_bits, narrow_ranges=narrow, float_results=float_results)
        said = [*static.said, *(["--placement"] if placement != Settings.placement else [])]
        static, asked = qat_of(QatOptions(qat, lr, seed, augment, checkpoint), static, given)
        settings = Settings(
            config=static.config(),
            calibration_images=calib,
            evaluation_images=evaluate,
            form=form.value,
            optimizer=optimizer.value,
            benchmark=bench,
            threads=threads,
            seed=seed,
            placement=placement,
            dynamic_size=dynamic_size,
            qat=asked,
            device=device,
        )
        wish = Wish(recipe, max_drop, workers, backend, journal_beside(out), said)
        quantize_static(chosen, source, out, settings, wish, terminal, explain=explain_repairs)
