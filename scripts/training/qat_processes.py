"""Quantization-aware training in one process or several: accuracy on MNIST, as a line of JSON.

    python scripts/training/qat_processes.py --data mnist=DIR --weights mnist_lenet.pt
    torchrun --standalone --nproc-per-node 2 scripts/training/qat_processes.py --data mnist=DIR --weights mnist_lenet.pt

Batches of 64 images are the same whatever the number of processes: of ``n``, each takes every ``n``-th image, and
gradients are averaged. LeNet with few bits starts from post-training quantization and learns from labels and from its
float twin.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # before a process group, which it keeps alive otherwise: docs/training.md
import torch.distributed as dist
from torch import Tensor

import fxpasses as fx
from fxpasses.models.data.data_source import DataSource, SplitSource
from fxpasses.models.datasets import open_dataset
from fxpasses.models.training.evaluation import evaluate_top1
from fxpasses.models.zoo import load_model
from fxpasses.training.distributed import is_first, processes

BATCH = 64
CALIBRATION = 256


def rank() -> int:
    """Rank of this process; 0 if it is the only process."""
    return dist.get_rank() if processes() > 1 else 0


def batches_of(data: DataSource, steps: int, seed: int) -> Callable[[int], Iterator[tuple[Tensor, Tensor]]]:
    """Function of the epoch's number that returns this process's share of each of its ``steps`` batches."""
    assert isinstance(data, SplitSource), "MNIST is one"

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        for number, (inputs, labels) in enumerate(data.training_batches(BATCH, 1000 * seed + epoch)):
            if number == steps:
                return
            yield inputs[rank() :: processes()], labels[rank() :: processes()]

    return batches


def calibration_of(data: DataSource) -> list[Tensor]:
    """The calibration batches of this process: every ``n``-th batch, for ``n`` processes."""
    return list(data.calibration(CALIBRATION, BATCH))[rank() :: processes()]


def accuracy(int8: Any, data: DataSource, images: int) -> float:
    """Top-1 of the int8 kernels, in percent."""
    return evaluate_top1(fx.export.to_torch(int8), data.evaluation(50, images))


def measured(options: argparse.Namespace) -> dict[str, object]:
    """Train once, and measure before and after."""
    model = load_model("lenet", options.weights)
    data = open_dataset(options.data, model)
    quant = fx.QuantConfig(target="x86-avx2")
    config = fx.TrainingConfig(quant, options.bits, options.bits, end_bits=options.bits)
    settings = fx.RunSettings(epochs=1, lr=options.lr, seed=options.seed)
    mine, begun = calibration_of(data), time.monotonic()
    untrained = fx.convert_trained(fx.prepare_training(fx.capture(model.module, model.example_inputs()), mine, config))
    int8 = fx.train_quantized(
        model.module,
        model.example_inputs(),
        batches_of(data, options.steps, options.seed),
        config,
        settings,
        calibration=mine,
        steps_per_epoch=options.steps,
    )
    return {
        "processes": processes(),
        "seed": options.seed,
        "bits": options.bits,
        "steps": options.steps,
        "images": options.images,
        "before": accuracy(untrained, data, options.images),
        "after": accuracy(int8, data, options.images),
        "seconds": round(time.monotonic() - begun, 1),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Quantization-aware training of LeNet in one process or several.")
    parser.add_argument("--data", required=True, help="mnist=DIR")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--bits", type=int, default=2)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=1000, help="of the test split")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if "WORLD_SIZE" in os.environ and int(os.environ["WORLD_SIZE"]) > 1:
        dist.init_process_group("gloo")
    found = measured(options)
    if is_first():
        print(json.dumps(found), flush=True)
    if processes() > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
