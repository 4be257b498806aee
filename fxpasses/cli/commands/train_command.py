"""``fxpasses train``: weights for a model of the zoo, to have something to quantize."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..jobs.training_data import training_batches
from ..options import shared as options
from ..terminal import Terminal, open_terminal

if TYPE_CHECKING:
    from torch import Tensor, nn

    from fxpasses.models.data.data_source import DataSource
    from fxpasses.models.training.loop import TrainConfig

BATCH = 32


class TrainOptimizer(str, Enum):
    """What fxpasses.models.training.loop has."""

    adamw = "adamw"
    sgd = "sgd"


def train_command(
    model: options.Model,
    data: options.Data,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE",
            parser=options.named_path,
            help="Gets the state dict: .pt, .pth or .safetensors.",
            show_default=False,
        ),
    ],
    weights: options.Weights = None,
    weights_key: options.WeightsKey = None,
    labels: options.Labels = None,
    image_size: options.ImageSize = None,
    epochs: Annotated[int, typer.Option("--epochs", metavar="N", max=options.MOST_EPOCHS)] = 10,
    lr: Annotated[
        float,
        typer.Option("--lr", callback=options.finite, help="Learning rate at the start; it falls to 0 on a cosine."),
    ] = 0.01,
    optimizer: Annotated[TrainOptimizer, typer.Option("--optimizer")] = TrainOptimizer.adamw,
    batch: Annotated[
        int, typer.Option("--batch", metavar="N", max=options.MOST_IMAGES, help="Images in a batch.")
    ] = BATCH,
    augment: options.Augment = False,
    bf16: options.TrainInBfloat16 = False,
    seed: options.Seed = 0,
    threads: options.Threads = None,
    json: options.Json = None,
) -> None:
    """Train a model, from --weights or from scratch, and write its state dict.

    A plain loop on one device. The file goes to the --weights of `fxpasses quantize` and `fxpasses prune`.
    """
    with open_terminal(json) as terminal:
        terminal.load("torch")
        from fxpasses.export.files import atomic_write
        from fxpasses.measure.runners import torch_threads
        from fxpasses.models.datasets import open_dataset
        from fxpasses.models.training.loop import TrainConfig
        from fxpasses.models.weights.files import check_weight_file, weights_as_bytes
        from fxpasses.models.zoo import load_model

        from ..folders.fitting import fitted
        from ..given import default_threads

        check_weight_file(out)
        config = TrainConfig(epochs=epochs, lr=lr, optimizer=optimizer.value, seed=seed, bf16=bf16)
        with atomic_write(out) as temporary, torch_threads(default_threads(threads)):
            temporary.touch()  # a folder that cannot be written is told before the training, not after
            loaded = load_model(model, weights, seed, image_size=image_size, fresh=True, weights_key=weights_key)
            source = fitted(loaded, open_dataset(data, loaded, labels))
            train_on(loaded.module, source, config, batch, terminal, augment=augment)
            top1 = top1_on(loaded.module, source, terminal)
            temporary.write_bytes(weights_as_bytes(loaded.module, out.suffix))
        terminal.document = {
            "model": model,
            "data": data,
            "epochs": epochs,
            "augmented": augment,
            "top1": top1,
            "images": source.evaluation_images,
            "file": str(out),
            "durations": dict(terminal.durations),
        }
        accuracy = "not measured: no labels" if top1 is None else f"{top1:.2f} %"
        terminal.results.print(f"top-1 {accuracy}; written to {out}", markup=False, soft_wrap=True)


def train_on(
    module: nn.Module,
    data: DataSource,
    config: TrainConfig,
    batch: int,
    terminal: Terminal,
    *,
    augment: bool = False,
) -> None:
    """Train the module in place."""
    import torch

    from fxpasses.models.training.loop import train

    images = data.calibration_images
    total = config.epochs * images
    module.to(memory_format=torch.channels_last)  # 1.5 times as fast on CPUs
    with terminal.step(f"train {config.epochs} epochs", total) as step:

        def one_epoch(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
            for inputs, labels in training_batches(data, batch, config.seed + epoch, augment=augment):
                yield inputs, labels
                step.advance(len(labels))

        train(module, one_epoch, config, images_per_epoch=images)
    module.to(memory_format=torch.contiguous_format)


def top1_on(module: nn.Module, data: DataSource, terminal: Terminal) -> float:
    """Top-1 on the held-out split, in percent."""
    from fxpasses.models.training.evaluation import evaluate_top1

    with terminal.step("evaluate"):
        return evaluate_top1(module, data.evaluation())
