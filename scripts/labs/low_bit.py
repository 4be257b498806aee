"""Lab 5: fewer bits on MiniCIFAR, then binary networks on CIFAR-10, their files and their MicroNet scores.

    python scripts/labs/low_bit.py --quick
    python scripts/labs/low_bit.py          hours; a run that was stopped goes on from the checkpoints in --out

CIFAR-10 was no task of the MicroNet challenge: scores are relative to its CIFAR-100 base, a convention of this
project.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from lab_report import Lab, LabReport, run_lab, settings_of
from low_bits.mini_cifar import CLASSES, Images, Sets, mini_cifar, normalized, read_cifar10
from low_bits.nets import EXAMPLE, Measured, Plan, at_widths, cifar_plans, measured, seeded, trained, with_integers
from torch import Tensor, nn
from torch.fx import GraphModule

import fxpasses as fx
from fxpasses.binary import BinaryConnect, BinaryTraining
from fxpasses.measure.model_size import module_bytes
from fxpasses.models.nets.binary_nets import BinaryConnectCifar
from fxpasses.models.training.evaluation import evaluate_top1

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEGABYTE = 1e6
QUICK_IMAGES = 3000
BITS = (8, 4, 3, 2)


@dataclass
class LowBit:
    """The data, and results that later sections use."""

    report: LabReport
    mini: Sets
    training: Images
    test: Images
    float_net: GraphModule | None = None
    on_cifar: list[Measured] = field(default_factory=list)

    @property
    def quick(self) -> bool:
        return self.report.settings.quick

    @property
    def trained_net(self) -> GraphModule:
        assert self.float_net is not None, "the first section trains it"
        return self.float_net


def begin(report: LabReport) -> LowBit:
    """Read CIFAR-10; a part of its training images if quick."""
    training, test = read_cifar10(report.settings.data / "cifar10")
    mini = mini_cifar(training, test)
    if report.settings.quick:
        training = training.at(torch.arange(QUICK_IMAGES))
    report.remark(f"Tested with {len(mini.test)} images of MiniCIFAR's classes and {len(test)} of CIFAR-10.")
    return LowBit(report, mini, training, test)


def mini_plan(lab: LowBit, method: str | None) -> Plan:
    """Plan of MiniCIFAR's network, float or binary."""
    epochs, width = (6, 16) if lab.quick else (60, 48)
    settings = BinaryTraining(epochs, 3e-3, 1e-5, loss="squared_hinge", scaled_steps=method is not None)

    def build() -> nn.Module:
        return BinaryConnectCifar((width, 2 * width, 4 * width), (True,) * 3, (4 * width,), CLASSES)

    return Plan("MiniCIFAR", method, build, settings)


def float_and_half(lab: LowBit) -> None:
    """1. Float and half precision

    A network trained on MiniCIFAR with shifts and mirrors, and the same after ``.half()``: accuracy and size.
    """
    lab.float_net = trained(
        mini_plan(lab, None), lab.mini.training, checkpoint(lab, "mini_float"), augmented=not lab.quick
    )
    report, where = lab.report, "fewer bits"
    top1, size = evaluate_top1(lab.float_net, lab.mini.test.batches()), module_bytes(lab.float_net)
    report.answer("1.a", "accuracy of the float net on MiniCIFAR", top1, "%", where)
    report.answer("1.b", "its parameters and statistics", size / MEGABYTE, "MB", where)
    half = fx.fuse(lab.float_net).half()
    found = evaluate_top1(lambda x: half(x.half()).float(), lab.mini.test.batches())
    report.answer("1.c", "accuracy after .half(), inputs too", found, "%", where)
    report.answer("1.d", "its size, BatchNorm folded", module_bytes(half) / MEGABYTE, "MB", where)
    report.table(
        where,
        ("form", "top-1 %", "MB"),
        [["float32", top1, size / MEGABYTE], ["half", found, module_bytes(half) / MEGABYTE]],
    )


def overwritten_weights(lab: LowBit) -> None:
    """2. Overwritten weights

    Each weight replaced by the nearest that few bits hold, as floats still: what it costs before any integer kernel.
    """
    fused, rows = fx.fuse(lab.trained_net), []
    for letter, bits in zip("abcd", BITS, strict=True):
        top1 = evaluate_top1(with_integers(fused, bits), lab.mini.test.batches())
        lab.report.answer(f"2.{letter}", f"accuracy with weights of {bits} bits", top1, "%", "overwritten weights")
        rows.append([bits, top1])
    lab.report.table("overwritten weights", ("bits of a weight", "top-1 %"), rows)
    lab.report.remark("Overwritten weights are floats still: the module keeps its size, only a file can be smaller.")


def static_int8(lab: LowBit) -> None:
    """3. Static quantization

    int8 weights and activations after calibration on training images.
    """
    calibration = [normalized(lab.mini.training.pixels[i : i + 50]) for i in range(0, 400, 50)]
    int8 = fx.quantize(lab.trained_net, EXAMPLE, calibration)
    folder = lab.report.settings.out
    size = fx.export.save(int8, folder / "mini.int8.pt2").stat().st_size
    onnx = fx.export.to_onnx(int8, folder / "mini.int8.onnx").stat().st_size
    top1 = evaluate_top1(fx.export.to_torch(int8), lab.mini.test.batches())
    lab.report.answer("3.a", "accuracy in static int8", top1, "%")
    lab.report.answer("3.b", "size of its .pt2 file", size / MEGABYTE, "MB")
    lab.report.answer("3.c", "size of its ONNX file", onnx / MEGABYTE, "MB")


def binary_connect(lab: LowBit) -> None:
    """4. BinaryConnect against its float twin

    On MiniCIFAR: the course's class, and with the steps of the paper's code.
    """
    plan, where, report = mini_plan(lab, "binaryconnect"), "BinaryConnect on MiniCIFAR", lab.report
    net = trained(plan, lab.mini.training, checkpoint(lab, "mini_binary"), augmented=not lab.quick)
    found = measured(plan, net, lab.mini.training, lab.mini.test, report.settings.out)
    twin = evaluate_top1(lab.trained_net, lab.mini.test.batches())
    course = course_net(lab)
    report.answer("4.a", "accuracy of BinaryConnect with scaled steps, binary weights", found.top1, "%", where)
    report.answer("4.b", "points behind its float twin", twin - found.top1, "", where)
    report.answer("4.c", "accuracy with the course's class (no scaled steps)", course, "%", where)
    report.answer("4.d", "its accuracy with int8 activations", found.int8_top1, "%", where)
    report.answer("4.e", "float file / packed file", found.float_bytes / found.shipped_bytes, "times", where)
    report.answer("4.f", "largest difference between the runtimes", found.lsb, "LSB", where)
    rows: list[list[str | float]] = [
        ["float", twin],
        ["BinaryConnect, scaled steps", found.top1],
        ["BinaryConnect, the course's class", course],
    ]
    report.table(where, ("net", "top-1 %"), rows)


def course_net(lab: LowBit) -> float:
    """Accuracy of the network trained by the course's loop."""
    plan = mini_plan(lab, None)
    bc = BinaryConnect(seeded(plan.build).to(memory_format=torch.channels_last))
    optimizer = torch.optim.Adam(bc.parameters(), plan.training.lr)
    batches, epochs = lab.mini.training.shuffled(100, augmented=not lab.quick), plan.training.epochs
    bc.train()
    for epoch in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = plan.training.rate(epoch / epochs)
        for inputs, labels in batches(epoch):
            step(bc, optimizer, inputs, labels)
    bc.eval()
    bc.binarization()
    return evaluate_top1(bc, lab.mini.test.batches())


def step(bc: BinaryConnect, optimizer: torch.optim.Optimizer, inputs: Tensor, labels: Tensor) -> None:
    """Do one step in the course's order."""
    bc.binarization()
    optimizer.zero_grad()
    torch.autograd.backward(nn.functional.cross_entropy(bc(inputs), labels))
    bc.restore()
    optimizer.step()
    bc.clip()


def binary_on_cifar10(lab: LowBit) -> None:
    """5. Binary networks on CIFAR-10

    One form as float, BinaryConnect, BWN and TWN; XNOR-Net's blocks; Bi-Real Net's. Each trained as long.
    """
    report, where = lab.report, "binary networks on CIFAR-10"
    for plan in cifar_plans(3 if lab.quick else 20, quick=lab.quick):
        net = trained(plan, lab.training, checkpoint(lab, plan.name))
        lab.on_cifar.append(measured(plan, net, lab.training, lab.test, report.settings.out))
    for number, found in enumerate(lab.on_cifar, 1):
        report.answer(f"5.{number}a", f"{found.name}: accuracy", found.top1, "%", where)
        report.answer(f"5.{number}b", f"{found.name}: accuracy in int8", found.int8_top1, "%", where)
        report.answer(f"5.{number}c", f"{found.name}: size of what is shipped", found.shipped_bytes / 1e3, "kB", where)
        report.answer(f"5.{number}d", f"{found.name}: MicroNet score (our convention)", found.score.score(), "", where)
        report.answer(f"5.{number}e", f"{found.name}: largest difference of the runtimes", found.lsb, "LSB", where)
    twin, binary = lab.on_cifar[0], lab.on_cifar[1]
    report.answer("5.f", "points of BinaryConnect behind its float twin", twin.top1 - binary.top1, "", where)
    report.table(where, COLUMNS, [row_of(found) for found in lab.on_cifar])


COLUMNS = (
    "net",
    "parameters",
    "top-1 %",
    "int8 top-1 %",
    "float file kB",
    "shipped kB",
    "LSB",
    "storage",
    "operations",
    "score",
)


def row_of(found: Measured) -> list[str | int | float | None]:
    """Row of the table."""
    parts = (found.score.storage_score, found.score.operation_score(), found.score.score())
    sizes = (found.float_bytes / 1e3, found.shipped_bytes / 1e3)
    return [found.name, found.params, found.top1, found.int8_top1, *sizes, found.lsb, *parts]


def accuracy_against_size(lab: LowBit) -> None:
    """6. Accuracy against size

    BinaryConnect at several widths beside the networks of the section before.
    """
    report, where, wider = lab.report, "accuracy against size", []
    for plan in at_widths(2 if lab.quick else 20, quick=lab.quick):
        net = trained(plan, lab.training, checkpoint(lab, plan.name.replace(", ", "_").replace(" ", "_")))
        wider.append(measured(plan, net, lab.training, lab.test, report.settings.out))
    for letter, found in zip("abcd", wider, strict=False):
        report.answer(f"6.{letter}", f"{found.name}: accuracy", found.top1, "%", where)
    smallest = min(lab.on_cifar + wider, key=lambda found: found.score.score())
    report.answer("6.e", f"lowest MicroNet score, of {smallest.name}", smallest.score.score(), "", where)
    report.table(where, COLUMNS, [row_of(found) for found in wider])

    def draw(axes: Axes) -> None:
        for found in lab.on_cifar:
            axes.scatter(found.shipped_bytes / 1e3, found.top1, label=found.name)
        sizes, heights = [f.shipped_bytes / 1e3 for f in wider], [f.top1 for f in wider]
        axes.plot(sizes, heights, marker=".", label="BinaryConnect by width")
        axes.set(xlabel="shipped, kB", ylabel="top-1, %", xscale="log")
        axes.legend()

    report.plot("accuracy_against_size", draw)


def checkpoint(lab: LowBit, name: str) -> Path | None:
    """File from which a long run resumes; None for quick runs."""
    if lab.quick:
        return None
    lab.report.settings.out.mkdir(parents=True, exist_ok=True)
    return lab.report.settings.out / f"{name}.checkpoint"


LAB: Lab[LowBit] = Lab(
    "low_bit",
    "Lab 5: few bits, binary networks and MicroNet scores",
    begin,
    (float_and_half, overwritten_weights, static_int8, binary_connect, binary_on_cifar10, accuracy_against_size),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the lab."""
    run_lab(LAB, settings_of(LAB.name, arguments))


if __name__ == "__main__":
    main()
