"""Trains a CIFAR-10 net of the zoo quantization-aware, and measures it before and after on the test images.

    python scripts/training/qat_cifar.py --data cifar10=DIR --weights cifar10_resnet20.pt --bits 4 --epochs 3 --out w4a4

Writes ``result.json``, ``model.int8.onnx`` and a checkpoint into the folder; killed, it goes on where it was. Test
images are looked at twice: before training (float, and rounded without training) and at the end. Nothing is chosen by
them.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

import fxpasses
from fxpasses.agreement.parity_check import parity
from fxpasses.cli.jobs.training_data import training_batches
from fxpasses.export.onnx_writer.write import to_onnx
from fxpasses.export.torch_int8 import to_torch
from fxpasses.models.data.data_source import DataSource
from fxpasses.models.datasets import open_dataset
from fxpasses.models.training.evaluation import evaluate_top1
from fxpasses.models.zoo import load_model
from fxpasses.training.config import TrainingConfig
from fxpasses.training.fake.prepare import prepare_training
from fxpasses.training.frozen.freeze import freeze_training
from fxpasses.training.frozen.trained_integers import convert_trained, require_same_integers
from fxpasses.training.runs.run_data import RunData
from fxpasses.training.runs.run_settings import RunSettings
from fxpasses.training.runs.training_run import TrainingProgress
from fxpasses.training.runs.whole_run import STATISTICS, start_run

CALIBRATION_BATCH = 64
COMPARED = 256
"""Number of test images on which the integers of fake quantization, reference, PyTorch and onnxruntime are compared."""


def main() -> None:
    """Train, measure, and write the results."""
    arguments = _arguments()
    (out := Path(arguments.out)).mkdir(parents=True, exist_ok=True)
    model = load_model(arguments.model, arguments.weights)
    data = open_dataset(arguments.data, model)
    graph = fxpasses.capture(model.module, model.example_inputs())
    config = TrainingConfig(weight_bits=arguments.bits, activation_bits=arguments.activation_bits or arguments.bits)
    settings = _settings(arguments)
    calibration = [batch.clone() for batch in data.calibration(STATISTICS, CALIBRATION_BATCH)]
    before = _remembered(out / "before.json", lambda: _before(graph, model.module, data, calibration, config))
    steps = -(-data.calibration_images // arguments.batch)

    def batches(epoch: int) -> Iterator[Any]:
        return training_batches(data, arguments.batch, epoch, augment=True)

    run = start_run(graph, calibration, RunData(batches, steps), config, settings)
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        run.resume(checkpoint)
    began = time.monotonic()
    frozen = run.run(checkpoint, arguments.every, _tell)
    int8 = convert_trained(frozen)
    to_onnx(int8, out / "model.int8.onnx")
    result = {
        "model": arguments.model,
        "bits": [config.weight_bits, config.activation_bits],
        "settings": asdict(settings),
        "batch": arguments.batch,
        **before,
        "trained": evaluate_top1(to_torch(int8, "reference"), data.evaluation()),
        "curve": [asdict(point) for point in run.curve],
        "minutes_since_resume": round((time.monotonic() - began) / 60, 1),
        "integers": _compared(frozen, int8, data, out / "model.int8.onnx"),
        "machine": [platform.processor() or platform.machine(), torch.__version__, torch.get_num_threads()],
        "date": time.strftime("%Y-%m-%d"),
    }
    (out / "result.json").write_text(json.dumps(result, indent=1))
    print(json.dumps({k: v for k, v in result.items() if k != "curve"}))


def _settings(arguments: argparse.Namespace) -> RunSettings:
    return RunSettings(
        epochs=arguments.epochs,
        lr=arguments.lr,
        weight_decay=arguments.weight_decay,
        distillation=arguments.distillation,
        dampening=arguments.dampening,
        frozen_lr=arguments.frozen_lr,
    )


def _remembered(path: Path, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Measure once and keep the result in a file, so that a resumed run does not measure again."""
    if not path.exists():
        path.write_text(json.dumps(measure()))
    found: dict[str, float] = json.loads(path.read_text())
    return found


def _before(
    graph: fx.GraphModule, module: nn.Module, data: DataSource, calibration: list[Any], config: TrainingConfig
) -> dict[str, float]:
    """Test accuracy in float, rounded without training, and rounded with new BatchNorm statistics."""
    prepared = prepare_training(graph, calibration, config)
    rounded, restated = freeze_training(prepared).eval(), freeze_training(prepared, calibration).eval()
    return {
        "float": evaluate_top1(module, data.evaluation()),
        "rounded": evaluate_top1(rounded, data.evaluation()),
        "rounded_statistics": evaluate_top1(restated, data.evaluation()),
    }


def _compared(frozen: fx.GraphModule, int8: fx.GraphModule, data: DataSource, path: Path) -> dict[str, object]:
    """Number of integers that are equal in fake quantization and graph, and the parity of the runtimes."""
    equal = 0
    for inputs, _ in data.evaluation(CALIBRATION_BATCH, COMPARED):
        equal += require_same_integers(frozen, int8, (inputs,))
    batches = (inputs for inputs, _ in data.evaluation(CALIBRATION_BATCH, COMPARED))
    return {"equal": equal, "parity": parity(int8, batches, onnx_path=path, node_images=COMPARED).to_json()}


def _tell(progress: TrainingProgress) -> None:
    if progress.step % 20 == 0:
        print(
            f"{progress.step}/{progress.steps} {progress.phase} loss {progress.loss:.4f} "
            f"{progress.accuracy:.1f} % {progress.seconds_left / 60:.0f} min left",
            flush=True,
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="cifar_resnet20")
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--activation-bits", type=int)
    parser.add_argument("--epochs", type=float, default=3.0)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--weight-decay", type=float, default=RunSettings.weight_decay)
    parser.add_argument("--frozen-lr", type=float, default=RunSettings.frozen_lr)
    parser.add_argument("--distillation", type=float, default=0.7)
    parser.add_argument("--dampening", type=float)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--every", type=int, default=50)
    return parser.parse_args()


if __name__ == "__main__":
    main()
