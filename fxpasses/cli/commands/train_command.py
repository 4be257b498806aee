"""``fxpasses train``: train weights for a model of the zoo, so that there is a model to quantize."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..jobs.training_data import training_batches
from ..options import shared
from ..options.source import ModelOptions
from ..options.table import takes_groups
from ..options.train import TrainOptions
from ..terminal import Terminal, open_terminal

if TYPE_CHECKING:
    from torch import Tensor, nn

    from fxpasses.models.data.data_source import DataSource
    from fxpasses.models.training.loop import TrainConfig


@takes_groups
def train_command(
    source: ModelOptions,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE",
            parser=shared.named_path,
            help="Gets the state dict: .pt, .pth or .safetensors.",
            show_default=False,
        ),
    ],
    options: TrainOptions,
    json: shared.Json = None,
) -> None:
    """Train a model, from --weights or from scratch, and write its state dict.

    A plain loop on one device. The file goes to the --weights of `fxpasses quantize` and `fxpasses prune`.
    """
    with open_terminal(json) as terminal:
        terminal.load("torch")
        from fxpasses.export.files import atomic_write
        from fxpasses.measure.runners import torch_threads
        from fxpasses.models.weights.files import check_weight_file, weights_as_bytes

        from ..given import default_threads

        check_weight_file(out)
        with atomic_write(out) as temporary, torch_threads(default_threads(options.threads)):
            temporary.touch()  # a folder that cannot be written is reported before the training, not after
            module, document = trained(source, options, terminal)
            temporary.write_bytes(weights_as_bytes(module, out.suffix))
        top1 = document["top1"]
        terminal.document = document | {"file": str(out), "durations": dict(terminal.durations)}
        accuracy = "not measured: no labels" if top1 is None else f"{top1:.2f} %"
        terminal.results.print(f"top-1 {accuracy}; written to {out}", markup=False, soft_wrap=True)


def trained(source: ModelOptions, options: TrainOptions, terminal: Terminal) -> tuple[nn.Module, dict[str, Any]]:
    """Return the model after training, and the document that ``--json`` writes."""
    from fxpasses.models.datasets import open_dataset
    from fxpasses.models.training.loop import TrainConfig
    from fxpasses.models.zoo import load_model

    from ..folders.batch_places import placed_data, with_batch_dims
    from ..folders.detectors import refuse_detectors
    from ..folders.fitting import fitted

    config = TrainConfig(
        epochs=options.epochs, lr=options.lr, optimizer=options.optimizer.value, seed=source.seed, bf16=options.bf16
    )
    size, key = source.image_size, source.weights_key
    loaded = load_model(source.model, source.weights, source.seed, image_size=size, fresh=True, weights_key=key)
    refuse_detectors(loaded, source.model)
    loaded = with_batch_dims(loaded)
    data = placed_data(fitted(loaded, open_dataset(options.data, loaded, options.labels)), loaded)
    train_on(loaded.module, data, config, options.batch, terminal, augment=options.augment)
    return loaded.module, {
        "model": source.model,
        "data": options.data,
        "epochs": options.epochs,
        "augmented": options.augment,
        "top1": top1_on(loaded.module, data, terminal),
        "images": data.evaluation_images,
    }


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
    module.to(memory_format=torch.channels_last)  # faster on CPUs
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
