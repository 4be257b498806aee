"""``fxpasses sensitivity``: which layers int8, or pruning, hurts."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from ..options import pruning as pruning_options
from ..options import shared as options
from ..terminal import open_terminal


class Method(str, Enum):
    """What is done to a layer to see how sensitive it is."""

    quant = "quant"
    prune = "prune"


def sensitivity_command(
    model: options.Model,
    data: options.Data,
    out: options.Out,
    method: Annotated[
        Method,
        typer.Option(
            "--method",
            metavar="METHOD",
            help="quant: each layer in int8 alone, and in float alone. prune: each layer pruned alone.",
        ),
    ] = Method.quant,
    weights: options.Weights = None,
    weights_key: options.WeightsKey = None,
    labels: options.Labels = None,
    metric: options.Metric = None,
    image_size: options.ImageSize = None,
    images: Annotated[
        int | None,
        typer.Option(
            "--images",
            max=options.MOST_IMAGES,
            metavar="N",
            help="Images to measure on, at most; default: 256, fewer if they are large.",
            show_default=False,
        ),
    ] = None,
    node_images: Annotated[
        int,
        typer.Option("--node-images", metavar="N", max=options.MOST_IMAGES, help="Images to compare every tensor on."),
    ] = 32,
    target: options.Target = "auto",
    observer: options.Observers = None,
    keep_float: options.KeepFloat = None,
    calib: options.CalibrationImages = None,
    ratios: Annotated[
        str, typer.Option("--ratios", metavar="R,R,...", help="Shares of a layer's weights to prune, for prune.")
    ] = "0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9",
    granularity: Annotated[
        str, typer.Option("--granularity", metavar="NAME", help="What is pruned: weight or channel.")
    ] = "weight",
    criterion: pruning_options.Criterion = "l1",
    layers: pruning_options.Layers = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            "--max-drop",
            callback=options.finite,
            metavar="POINTS",
            help="Find the largest ratios that lose no more top-1, or no more of --metric, for prune: of each layer, "
            "operator, and the net.",
            show_default=False,
        ),
    ] = None,
    workers: options.Workers = 1,
    backend: options.Backend = "loky",
    seed: options.Seed = 0,
    threads: options.Threads = None,
    json: options.Json = None,
) -> None:
    """Find the layers that suffer most: a ranking, plots, and everything as JSON.

    Writes sensitivity.json, sensitivity.html and sensitivity.png into DIR.

    fxpasses sensitivity torchvision/mobilenet_v2 --weights mobilenet_v2.pth --data images=imagenet --out hurts
    """
    with open_terminal(json) as terminal:
        terminal.load("torch", "onnx", "onnxruntime")
        from fxpasses.export.files import staged_folder
        from fxpasses.measure.runners import torch_threads

        from ..folders.artifacts import journal_beside
        from ..folders.folder import DataChoice, ModelChoice
        from ..given import default_threads
        from ..jobs.sensitivity_pipeline import SENSITIVITY_HTML, QuantSettings, quant_config, quant_into
        from ..pruning.scan import PruneSettings, numbers_of, prune_into

        chosen, source = ModelChoice(model, weights, seed, image_size, weights_key), DataChoice(data, labels, metric)
        journal = journal_beside(out)
        with staged_folder(out) as stage, torch_threads(default_threads(threads)):
            if method is Method.quant:
                config = quant_config(target, observer or [], keep_float or [])
                measured = QuantSettings(config, calib, images, node_images, threads, seed, workers, backend, journal)
                terminal.document = quant_into(stage, chosen, source, measured, terminal)
            else:
                scan = PruneSettings(
                    ratios=numbers_of(ratios),
                    granularity=granularity,
                    criterion=criterion,
                    layers=tuple(layers or ()),
                    images=images,
                    threads=threads,
                    workers=workers,
                    backend=backend,
                    journal=journal,
                    max_drop=max_drop,
                )
                terminal.document = prune_into(stage, chosen, source, scan, terminal)
        terminal.results.print(f"files in {out}; open {out / SENSITIVITY_HTML} in a browser", soft_wrap=True)
