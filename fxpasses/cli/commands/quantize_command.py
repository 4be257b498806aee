"""``fxpasses quantize``: turn a float model into ONNX files, a .pt2 file and a report."""

from __future__ import annotations

import typer

from ..options import shared
from ..options.methods import check_method, given_options, refuse_alien_options, refuse_beside_qat
from ..options.quantize import STATIC, QuantizeOptions
from ..options.source import MeasureOptions, SourceOptions
from ..options.table import takes_groups
from ..terminal import open_terminal


@takes_groups
def quantize_command(
    context: typer.Context,
    source: SourceOptions,
    out: shared.Out,
    options: QuantizeOptions,
    measuring: MeasureOptions,
    json: shared.Json = None,
) -> None:
    """Quantize a model to int8 for PyTorch and onnxruntime.

    Writes model.fp32.onnx, model.int8.onnx, model.int8.pt2, report.json and report.html into DIR; other methods name
    their files after their precision, as model.fp16.onnx.

    fxpasses quantize torchvision/mobilenet_v2 --weights mobilenet_v2.pth --data images=imagenet --out mobilenet
    """
    with open_terminal(json) as terminal:
        check_method(options.method)
        refuse_alien_options(options.method, given := given_options(context))
        refuse_beside_qat(options.qat is not None, given)
        terminal.load("torch", "onnx", "onnxruntime")
        if options.method == STATIC:
            from ..static.asked import origin_of, settings_of
            from ..static.run import quantize_static

            settings, origin = settings_of(options, measuring, source.seed), origin_of(options, out)
            quantize_static(source, out, settings, origin, terminal, explain=options.explain_repairs)
        else:
            from ..precision.run import quantize_lowered

            quantize_lowered(source, out, options, measuring, terminal)
