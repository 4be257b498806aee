"""Lab 1: quantization by hand of two very small nets, and pruning of a VGG.

    python scripts/labs/linear_quantization.py --quick
    python scripts/labs/long_training.py --net vgg --data CIFAR --folder RUN        hours: the VGG's weights
    python scripts/labs/linear_quantization.py --weights RUN/weights.pt

LeNet (MNIST) and a keyword net (spoken digits) become integers by hand: weights, activations, biases, and shifts in
place of divisions. The integers of the toolkit run the same way and equal its exact reference bit for bit. The VGG
(CIFAR-10) loses single weights and whole channels.
"""

from __future__ import annotations

from collections.abc import Sequence

from lab_report import Lab, run_lab, settings_of
from speech.bits_after_training import bits_after_training
from speech.quantization_sections import equal_to_the_toolkit, fewer_bits, histograms, integers_alone, part_by_part
from speech.quantization_state import Quantization, begin
from subjects.trained_net import HAS_TRAINING
from vgg.channels import channel_pruning
from vgg.pruning import dense_vgg, fine_grained_pruning, sensitivity_scan

LAB: Lab[Quantization] = Lab(
    "linear_quantization",
    "Lab 1: linear quantization by hand, and pruning",
    begin,
    (
        histograms,
        part_by_part,
        integers_alone,
        equal_to_the_toolkit,
        fewer_bits,
        dense_vgg,
        sensitivity_scan,
        fine_grained_pruning,
        channel_pruning,
        *((bits_after_training,) if HAS_TRAINING else ()),
    ),
)


def main(arguments: Sequence[str] | None = None) -> None:
    run_lab(LAB, settings_of(LAB.name, arguments))


if __name__ == "__main__":
    main()
