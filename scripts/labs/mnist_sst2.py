"""Lab 3: multilayer perceptrons for MNIST and SST-2, in float32, float16 and int8, and what each costs.

    python scripts/labs/mnist_sst2.py --quick --out labs/mnist_sst2

Two hidden layers of 1024 units read the middle 20x20 pixels of MNIST; two of 512 the counts of 5000 words of SST-2.
Adam at 0.001, batches of 64, two epochs. Then the linear mapping by hand, dynamic float16 and int8, static int8,
times over hidden sizes and batches, and what each layer costs alone and all others without it.
"""

from __future__ import annotations

from collections.abc import Sequence

from by_hand.mapping_of_tensors import layer_by_hand, mapping_by_hand
from lab_report import Lab, run_lab, settings_of
from small.mnist_sst2_benchmark import benchmark_of_widths, shapes_of_nets
from small.mnist_sst2_forms import (
    float_models,
    forms_of_each_model,
    hardware,
    mixed_precision_training,
    one_layer_at_a_time,
)
from small.mnist_sst2_state import MnistSst2, begin

LAB: Lab[MnistSst2] = Lab(
    "mnist_sst2",
    "Lab 3: MNIST and SST-2 in float32, float16 and int8",
    begin,
    (
        hardware,
        float_models,
        mapping_by_hand,
        layer_by_hand,
        forms_of_each_model,
        benchmark_of_widths,
        one_layer_at_a_time,
        mixed_precision_training,
        shapes_of_nets,
    ),
)


def main(arguments: Sequence[str] | None = None) -> None:
    run_lab(LAB, settings_of(LAB.name, arguments))


if __name__ == "__main__":
    main()
