"""Lab 4: ResNet-18 on CIFAR-10, its int8 form, and what its layers lose by pruning.

python scripts/labs/long_training.py --net resnet18 --data CIFAR --folder RUN       hours: the weights
python scripts/labs/resnet18_cifar10.py --weights RUN/weights.pt                    the whole lab
python scripts/labs/resnet18_cifar10.py --quick                                     on a narrow net trained here
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from lab_report import Lab, LabReport, Row, run_lab, settings_of
from subjects.cifar_subject import CifarSubject, cifar_subject
from subjects.measured_model import MEGABYTE, accuracy, file_megabytes, flops, in_both_runtimes, latencies
from subjects.resnet18_pruning import each_layer_pruned, largest_percentage
from torch import Tensor

import fxpasses as fx
from fxpasses.models.nets.cifar_resnet18 import CIFAR_STATISTICS, CifarResNet18

BATCHES = (1, 64)
NARROW_WIDTH = 8
COLUMNS = ("model", "MB", "parameters", "top-1 %", "batch 1, ms", "batch 64, ms")


def begin(report: LabReport) -> CifarSubject:
    """Load the net, and CIFAR-10 with the statistics that courses use."""
    narrow = partial(CifarResNet18, width=NARROW_WIDTH)
    return cifar_subject(report, _shaped, narrow, CIFAR_STATISTICS, report.settings.weights)


def _shaped(state: Mapping[str, Tensor]) -> CifarResNet18:
    """Make the net for some weights, by the width of its first layer."""
    return CifarResNet18(width=state["conv1.weight"].shape[0])


def static_int8(lab: CifarSubject) -> None:
    """1. Float32 against static int8

    Size, accuracy and time of both in both runtimes; ranges from 256 training images.
    """
    folder, report, where = lab.report.settings.out / "files", lab.report, "float32 and int8"
    int8 = fx.quantize(lab.net, (lab.make_input(2),), lab.calibration())
    subjects = [
        *in_both_runtimes("float32", "fp32", lab.fused, folder),
        *in_both_runtimes("int8", "int8", int8, folder),
    ]
    times = latencies(subjects, lab.make_input, BATCHES, runs=2 if lab.quick else 5)
    top1 = {subject.name: accuracy(subject, lab.batches()) for subject in subjects}
    rows: list[Row] = [
        [s.name, file_megabytes(s), s.params, top1[s.name], *(times[s.name, batch].mean_ms for batch in BATCHES)]
        for s in subjects
    ]
    report.table(where, COLUMNS, rows)
    state = io.BytesIO()
    torch.save(lab.net.state_dict(), state)
    size = len(state.getvalue()) / MEGABYTE
    report.answer("1.1", "size of torch.save(state_dict) in float32", size, "MB", where)
    report.answer("1.2", "accuracy in float32", top1["float32, torch"], "%", where)
    report.answer("1.3", "size of the int8 ONNX file", file_megabytes(subjects[3]), "MB", where)
    report.answer(
        "1.4", "smaller than the float32 weights by", 100 * (1 - file_megabytes(subjects[3]) / size), "%", where
    )
    report.answer("1.5", "accuracy in int8, PyTorch", top1["int8, torch"], "%", where)
    report.answer("1.6", "accuracy in int8, onnxruntime", top1["int8, onnxruntime"], "%", where)
    report.answer("1.7", "points lost by int8", top1["float32, torch"] - top1["int8, torch"], "points", where)
    for number, (subject, batch) in enumerate(((s, b) for s in subjects for b in BATCHES), 8):
        time = times[subject.name, batch]
        report.answer(f"1.{number}", f"{subject.name}: time at batch {batch}", time.mean_ms, "ms", where, time.std_ms)
    report.answer("1.16", "FLOPs of one image", flops(lab.fused), "", where)
    agreement = fx.export.parity(int8, (images for images, _ in lab.batches()), onnx_path=folder / "int8.onnx")
    report.answer(
        "1.17", "largest difference of the two runtimes at any int8 tensor", agreement.max_lsb_at_any_node, "LSB", where
    )


LAB: Lab[CifarSubject] = Lab(
    "resnet18_cifar10",
    "Lab 4: ResNet-18 on CIFAR-10, int8 and pruning layer by layer",
    begin,
    (static_int8, each_layer_pruned, largest_percentage),
)


def main(arguments: Sequence[str] | None = None) -> None:
    run_lab(LAB, settings_of(LAB.name, arguments))


if __name__ == "__main__":
    main()
