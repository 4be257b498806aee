"""Trains BinaryConnect's network for CIFAR-10 and its float twin for as long, and measures both.

    python scripts/labs/binary_twins.py --data DATA --epochs 20 --out twins

DATA holds ``cifar10``. The network has six convolutions and two hidden layers; ``--width`` is the number of channels of
the first one (the paper's is 128), others keep the paper's ratios. Both nets see the same batches, without
augmentation, and end at the same learning rate; real weights of the binary one take BinaryConnect's larger steps. A run
that was stopped goes on from the checkpoints in ``--out``, and ``result.json`` has the measurements.
"""

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path

import torch
from low_bits.mini_cifar import Images, read_cifar10
from low_bits.nets import Measured, Plan, measured, trained

from fxpasses.binary import BinaryTraining
from fxpasses.export.files import write_json_atomic
from fxpasses.models.nets.binary_nets import BinaryConnectCifar

POOLED = (False, True) * 3
FIRST_LR, LAST_LR = 3e-3, 1e-5
SHOWN = ("name", "params", "top1", "int8_top1", "float_bytes", "shipped_bytes", "lsb")
"""Fields of a net's measurements in the result."""


def twins(width: int, epochs: int) -> list[Plan]:
    """Plans of the float and of the binary network, of one form."""
    widths, hidden = tuple(width * factor for factor in (1, 1, 2, 2, 4, 4)), (8 * width, 8 * width)

    def form() -> BinaryConnectCifar:
        return BinaryConnectCifar(widths, POOLED, hidden)

    def training(scaled_steps: bool) -> BinaryTraining:
        return BinaryTraining(epochs, FIRST_LR, LAST_LR, loss="squared_hinge", scaled_steps=scaled_steps)

    return [
        Plan("float", None, form, training(scaled_steps=False)),
        Plan("BinaryConnect", "binaryconnect", form, training(scaled_steps=True)),
    ]


def compared(plans: list[Plan], training: Images, test: Images, out: Path) -> dict[str, object]:
    """Train and measure each plan, the float one first; what is behind it is in points of top-1."""
    nets: list[Measured] = []
    for plan in plans:
        net = trained(plan, training, out / f"{plan.name}.checkpoint")
        nets.append(found := measured(plan, net, training, test, out))
        print(f"{plan.name}: {found.top1:.1f} %, int8 {found.int8_top1:.1f} %, {found.lsb} LSB", flush=True)
    return {
        "nets": [{name: getattr(net, name) for name in SHOWN} for net in nets],
        "points_behind": nets[0].top1 - nets[-1].top1,
        "epochs": plans[0].training.epochs,
        "machine": [platform.processor() or platform.machine(), torch.__version__, torch.get_num_threads()],
        "date": time.strftime("%Y-%m-%d"),
    }


def main() -> None:
    """Train, measure, and write the results."""
    arguments = _arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    training, test = read_cifar10(arguments.data / "cifar10")
    result = compared(twins(arguments.width, arguments.epochs), training, test, arguments.out)
    write_json_atomic(arguments.out / "result.json", result | {"width": arguments.width})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds cifar10")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoints and results")
    parser.add_argument("--epochs", type=int, default=20, help="passes over the training images (%(default)s)")
    parser.add_argument("--width", type=int, default=32, help="channels of the first convolution (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
