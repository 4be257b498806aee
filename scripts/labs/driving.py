"""Lab 2: a driving net in float32 and static int8: accuracy, time, FLOPs and size, one function each for every form.

    python scripts/labs/driving.py --quick
    python scripts/labs/driving.py                  the whole net, 302 million weights: hours, and 8 GB of memory

The functions are those of measured_model.py. They answer alike for float and int8 models, where counting by hooks on
layer classes finds no products in int8 modules, ``module.parameters()`` no weights, and a net prepared without fusing
keeps its BatchNorms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from car.frames import CLASSES, Frames, mirrored, other_street, read_driving, upside_down
from car.net import NARROW, DrivingNet, trained_driving_net
from lab_report import Lab, LabReport, Row, run_lab, settings_of
from subjects.measured_model import Subject, accuracy, file_megabytes, flops, in_both_runtimes, latencies
from subjects.trained_net import BATCH, HAS_TRAINING, batches_of, trained_int8
from torch import Tensor
from torch.fx import GraphModule

import fxpasses as fx
from fxpasses.models.model_input import UNIT_RANGE
from fxpasses.models.training.evaluation import evaluate_top1

BATCHES = (1, 32)
CALIBRATION = 128
NAMES = ("left", "right", "accelerate", "brake")
CHANGES = {"mirrored": mirrored, "upside down": upside_down, "street of another colour": other_street}
COLUMNS = ("model", "test top-1 %", "batch 1, ms", "batch 32, ms", "FLOPs", "MB", "parameters")


@dataclass
class Driving:
    """Frames, the float net once it is trained, and its forms by name: the subject to measure, and its graph."""

    report: LabReport
    training: Frames
    validation: Frames
    test: Frames
    net: DrivingNet | None = None
    forms: dict[str, tuple[Subject, GraphModule]] = field(default_factory=dict)

    @property
    def quick(self) -> bool:
        return self.report.settings.quick

    @property
    def trained(self) -> DrivingNet:
        assert self.net is not None, "the section before trains it"
        return self.net

    def make_input(self, batch: int) -> Tensor:
        """First test frames."""
        return UNIT_RANGE(self.test.images[:batch])


def begin(report: LabReport) -> Driving:
    """Read the frames; every fifth of each set if quick."""
    sets = read_driving(report.settings.data / "driving")
    step = 5 if report.settings.quick else 1
    training, validation, test = (frames.every(step) for frames in sets)
    return Driving(report, training, validation, test)


def float_net(lab: Driving) -> None:
    """1. The float net

    Trained with Adam on mirrored, turned and cropped frames; accuracy on training, validation and test tracks.
    """
    epochs, divisor, lr = (2, NARROW, 1e-3) if lab.quick else (15, 1, 1e-4)
    lab.net = trained_driving_net(lab.training, divisor=divisor, epochs=epochs, lr=lr)
    report, where = lab.report, "accuracy of the float net"
    sets = {"training": lab.training.every(4), "validation": lab.validation, "test": lab.test}
    rows: list[Row] = []
    for letter, (name, frames) in zip("abc", sets.items(), strict=True):
        top1 = evaluate_top1(lab.net, frames.batches())
        report.answer(f"1.{letter}", f"accuracy on {name} frames", top1, "%", where)
        rows.append([name, len(frames), top1])
    report.table(where, ("frames", "how many", "top-1 %"), rows)
    share = 100 * lab.test.labels.bincount(minlength=CLASSES).max().item() / len(lab.test)
    report.answer(
        "1.d", "test frames of the most frequent class: what always the same answer scores", share, "%", where
    )
    for letter, (name, recall) in zip("efgh", _recalls(lab).items(), strict=True):
        report.answer(f"1.{letter}", f"test frames to {name} that are recognised", recall, "%", where)


def _recalls(lab: Driving) -> dict[str, float]:
    with torch.no_grad():
        chosen = torch.cat([lab.trained(inputs).argmax(1) for inputs, _ in lab.test.batches()])
    right = chosen == lab.test.labels
    return {name: 100 * right[lab.test.labels == label].double().mean().item() for label, name in enumerate(NAMES)}


def changed_pictures(lab: Driving) -> None:
    """2. Changed pictures

    Test frames mirrored (labels with them), upside down, and with the street in another colour.
    """
    rows: list[Row] = []
    for letter, (what, change) in zip("abc", CHANGES.items(), strict=True):
        top1 = evaluate_top1(lab.trained, change(lab.test).batches())
        lab.report.answer(f"2.{letter}", f"accuracy on test frames {what}", top1, "%", "changed pictures")
        rows.append([what, top1])
    lab.report.table("changed pictures", ("test frames", "top-1 %"), rows)


def float_and_int8(lab: Driving) -> None:
    """3. Float32 and static int8

    The four functions on each: accuracy, time of a call, FLOPs of a frame, size of the file.
    """
    folder = lab.report.settings.out / "files"
    fused = fx.fuse(fx.capture(lab.trained, (lab.make_input(2),)))
    frames = UNIT_RANGE(lab.training.images[:: max(1, len(lab.training) // CALIBRATION)])
    int8 = fx.quantize(lab.trained, (lab.make_input(2),), torch.split(frames, 16))
    for name, precision, graph in (("float32", "fp32", fused), ("static int8", "int8", int8)):
        pair = in_both_runtimes(name.replace(" ", "_"), precision, graph, folder)
        lab.forms |= {f"{name}, {subject.runtime}": (subject, graph) for subject in pair}
    subjects = [subject for subject, _ in lab.forms.values()]
    times = latencies(subjects, lab.make_input, BATCHES, runs=2 if lab.quick else 5)
    where = "float32 and int8"
    rows: list[Row] = []
    for number, (form, (subject, graph)) in enumerate(lab.forms.items(), 1):
        top1, operations, size = accuracy(subject, lab.test.batches()), flops(graph), file_megabytes(subject)
        report = lab.report
        report.answer(f"3.{number}a", f"{form}: accuracy", top1, "%", where)
        for letter, batch in zip("bc", BATCHES, strict=True):
            time = times[subject.name, batch]
            report.answer(
                f"3.{number}{letter}", f"{form}: time at batch {batch}", time.mean_ms, "ms", where, time.std_ms
            )
        report.answer(f"3.{number}d", f"{form}: FLOPs of one frame", operations, "", where)
        report.answer(f"3.{number}e", f"{form}: size of the file", size, "MB", where)
        report.answer(f"3.{number}f", f"{form}: weights and biases", subject.params, "", where)
        both = [times[subject.name, batch].mean_ms for batch in BATCHES]
        rows.append([form, top1, *both, operations, size, subject.params])
    lab.report.table(where, COLUMNS, rows)


def trained_in_int8(lab: Driving) -> None:
    """5. Int8 trained with the rounding in place

    The same functions on the float net trained on as int8, and its accuracy beside float and static int8.
    """
    frames = lab.training
    inputs = UNIT_RANGE(frames.images[: 16 * BATCH] if lab.quick else frames.images)
    batches, steps = batches_of(inputs, frames.labels[: len(inputs)])
    int8 = trained_int8(lab.trained, inputs[:CALIBRATION], batches, steps, epochs=1.0 if lab.quick else 5.0)
    pair = in_both_runtimes("trained_int8", "int8", int8, lab.report.settings.out / "files")
    times = latencies(pair, lab.make_input, BATCHES, runs=2 if lab.quick else 5)
    rows: list[Row] = []
    for number, subject in enumerate(pair, 1):
        top1, where = accuracy(subject, lab.test.batches()), "trained int8"
        both = [times[subject.name, batch].mean_ms for batch in BATCHES]
        for letter, question, value, unit in (
            ("a", "accuracy", top1, "%"),
            ("b", "time at batch 1", both[0], "ms"),
            ("c", "time at batch 32", both[1], "ms"),
            ("d", "FLOPs of one frame", flops(int8), ""),
            ("e", "size of the file", file_megabytes(subject), "MB"),
            ("f", "weights and biases", subject.params, ""),
        ):
            what = f"trained int8, {subject.runtime}: {question}"
            lab.report.answer(f"5.{number}{letter}", what, value, unit, where)
        rows.append([subject.name, top1, *both, flops(int8), file_megabytes(subject), subject.params])
    lab.report.table("trained int8", COLUMNS, rows)


def usual_mistakes(lab: Driving) -> None:
    """4. What usual solutions get wrong

    FLOPs and weights of the int8 net over those of the float net (hooks and ``parameters()`` find nearly none), and
    BatchNorms left behind in int8.
    """
    (here, fused), (_, int8) = lab.forms["float32, torch"], lab.forms["static int8, torch"]
    there = lab.forms["static int8, torch"][0]
    norms = sum("norm" in str(node.target).lower() for node in int8.graph.nodes)
    where = "float32 and int8"
    lab.report.answer("4.a", "FLOPs counted of int8 / of float32", flops(int8) / flops(fused), "", where)
    lab.report.answer("4.b", "weights and biases counted of int8 / of float32", there.params / here.params, "", where)
    lab.report.answer("4.c", "BatchNorms left in the int8 net", norms, "", where)
    lab.report.answer(
        "4.d", "size of the int8 file / of the float32 file", file_megabytes(there) / file_megabytes(here)
    )


LAB: Lab[Driving] = Lab(
    "driving",
    "Lab 2: a driving net in float32 and int8",
    begin,
    (
        float_net,
        changed_pictures,
        float_and_int8,
        usual_mistakes,
        *((trained_in_int8,) if HAS_TRAINING else ()),
    ),
)


def main(arguments: Sequence[str] | None = None) -> None:
    run_lab(LAB, settings_of(LAB.name, arguments))


if __name__ == "__main__":
    main()
