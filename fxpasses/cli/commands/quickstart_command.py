"""``fxpasses quickstart``: train, quantize, compare and measure a small net on embedded data, in under a minute."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import shared as options
from ..terminal import Terminal, open_terminal

if TYPE_CHECKING:
    from fxpasses.models.data.data_source import DataSource
    from fxpasses.models.loaded_model import LoadedModel

MODEL, DATA = "digits_cnn", "digits"
WEIGHTS = "digits_cnn.pt"
EPOCHS, LEARNING_RATE = 8, 0.01
"""Training settings: they give 98 % on the held-out digits, in seconds."""
THREADS = 1
"""Number of threads. In a net this small, a second thread costs more in waiting than it saves."""


def quickstart_command(
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="DIR", parser=options.named_path, help="Gets all files, or none if anything fails."
        ),
    ] = Path("quickstart"),
    json: options.Json = None,
) -> None:
    """Train a small net on scikit-learn's digits, quantize it, compare and measure it in both runtimes.

    Nothing is downloaded.
    """
    with open_terminal(json) as terminal:
        terminal.load("torch", "onnx", "onnxruntime")
        from fxpasses.export.files import staged_folder
        from fxpasses.models.datasets import open_dataset
        from fxpasses.models.zoo import load_model
        from fxpasses.quantization.config import QuantConfig

        from ..folders.folder import DataChoice, ModelChoice
        from ..given import Input
        from ..static.quantize_model import Settings, quantize_into
        from ..static.summary import print_outcome

        with staged_folder(out) as stage:
            model = load_model(MODEL, fresh=True)
            data = open_dataset(DATA, model)
            _train(model, data, stage / WEIGHTS, terminal)
            model = replace(model, pretrained=True)
            details = {**ModelChoice(MODEL, stage / WEIGHTS).details(model), "weights": WEIGHTS}
            given = Input(model, data, details, DataChoice(DATA).details())
            outcome = quantize_into(stage, given, Settings(QuantConfig(), threads=THREADS), terminal)
        terminal.document = outcome.report
        print_outcome(outcome, out, terminal)
        _print_next_steps(out, terminal)


def _train(model: LoadedModel, data: DataSource, file: Path, terminal: Terminal) -> None:
    from fxpasses.export.files import write_bytes_atomic
    from fxpasses.measure.runners import torch_threads
    from fxpasses.models.training.loop import TrainConfig
    from fxpasses.models.weights.files import weights_as_bytes

    from ..options.train import BATCH
    from .train_command import train_on

    with torch_threads(THREADS):
        train_on(model.module, data, TrainConfig(epochs=EPOCHS, lr=LEARNING_RATE), BATCH, terminal)
    write_bytes_atomic(file, weights_as_bytes(model.module))


def _print_next_steps(out: Path, terminal: Terminal) -> None:
    steps = (
        ("look at the plots", f"open {out / 'report.html'} in a browser"),
        ("see the int8 graph", f"fxpasses view {out / 'model.int8.onnx'}"),
        ("compare the integers", f"fxpasses parity {out}"),
        ("measure with care", f"fxpasses bench {out} --batch 1,8 --threads 1,2"),
        ("quantize your own", "fxpasses quantize path/file.py:factory --data images=DIR --out DIR"),
    )
    print_ = terminal.results.print
    print_("\nWhat next", style="bold")
    for what, how in steps:
        print_(f"  {what:<22}{how}", markup=False, soft_wrap=True)
