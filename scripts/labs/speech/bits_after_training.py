"""Section of lab 1 on accuracy against bits with quantization-aware training."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from by_hand.quantization import Parts, ranges_of, simulated
from lab_report import Row
from subjects.trained_net import batches_of, trained_int8

import fxpasses as fx
from speech.quantization_state import TITLES, Quantization, accuracy_of, top1

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BITS, QUICK_BITS = (2, 3, 4, 5, 6, 7, 8), (2, 4, 8)
EPOCHS, QUICK_EPOCHS = {"lenet": 3.0, "keyword": 30.0}, {"lenet": 1.0, "keyword": 3.0}
LR = 1e-3
"""Learning rate: a tenth of the usual, because the keyword net sums 4000 values and loses its accuracy at 0.01."""


def bits_after_training(lab: Quantization) -> None:
    """10. Accuracy against bits, with training

    Weights and activations of 2 to 8 bits, trained with the rounding in place from the float nets; beside it the same
    bits by hand without training.
    """
    rows: list[Row] = []
    curves: dict[str, dict[int, float]] = {}
    for number, (name, net) in enumerate(lab.nets.items(), 1):
        batches, steps = batches_of(net.training_inputs, net.training_labels)
        ranges = ranges_of(net.chain, net.calibration)
        trained, plain = curves.setdefault(f"{TITLES[name]}, trained", {}), curves.setdefault(TITLES[name], {})
        for bits in QUICK_BITS if lab.quick else BITS:
            epochs = (QUICK_EPOCHS if lab.quick else EPOCHS)[name]
            int8 = trained_int8(net.net, net.calibration, batches, steps, epochs=epochs, bits=bits, lr=LR)
            trained[bits] = accuracy_of(fx.export.to_torch(int8), net.inputs, net.labels)
            plain[bits] = top1(simulated(net.chain, ranges, net.inputs, Parts(bits)), net.labels)
            rows.append([TITLES[name], bits, plain[bits], trained[bits]])
            question = f"{TITLES[name]}: accuracy with {bits} bits after training"
            lab.report.answer(f"10.{number}.{bits}", question, trained[bits], "%", "bits_after_training.png")
    lab.report.table("bits after training", ("net", "bits", "by hand %", "trained %"), rows)
    lab.report.plot("bits_after_training", partial(_draw, curves=curves))


def _draw(axes: Axes, curves: dict[str, dict[int, float]]) -> None:
    for name, curve in curves.items():
        axes.plot(list(curve), list(curve.values()), marker="o", label=name)
    axes.set(xlabel="bits of weights and activations", ylabel="top-1 %")
    axes.legend()
