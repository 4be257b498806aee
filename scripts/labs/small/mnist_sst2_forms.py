"""Sections of lab 3 on the machine, the float nets, and their float16, dynamic and static int8 forms."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from lab_report import Row
from subjects.measured_model import (
    MEGABYTE,
    RUNS,
    Latency,
    Subject,
    accuracy,
    file_megabytes,
    flops,
    in_both_runtimes,
    latencies,
)
from torch import Tensor, nn
from torch.fx import GraphModule

import fxpasses as fx
from fxpasses.machine.environment import environment
from fxpasses.models.training.evaluation import evaluate_top1
from fxpasses.precision.dynamic import to_dynamic
from fxpasses.precision.half import to_half
from fxpasses.sensitivity import calibrate_once, quant_sensitivity
from small.mnist_sst2_state import TITLES, MnistSst2
from small.small_mlps import EVALUATION_BATCH, Mlp, Task, trained

BATCHES = (1, 64)
CALIBRATION_ROWS, CALIBRATION_BATCH = 512, 64
SENSITIVITY_ROWS = 2000
QUICK_ROWS = 1000
"""Training rows of bfloat16, whose products take a second a step where the CPU has none."""
FORMS = ("float32", "float16", "dynamic int8", "static int8")
COLUMNS = ("model", "MB", "parameters", "top-1 %", "batch 1, ms", "std", "batch 64, ms", "std")


def hardware(lab: MnistSst2) -> None:
    """0. The machine

    Every time below was measured on it, on one thread.
    """
    found: dict[str, Any] = environment()
    lab.report.answer("0.1", f"logical CPUs of {found['cpu']}", int(found["threads"]), where="machine")
    lab.report.answer("0.2", "memory", float(found["ram_bytes"] or 0) / 2**30, "GiB", "machine")
    rows = [[name, str(found[name])] for name in ("cpu", "flags", "ram", "gpu", "os")]
    rows += [[name, str(version)] for name, version in found["versions"].items()]
    lab.report.table("machine", ("", "found"), rows)


def float_models(lab: MnistSst2) -> None:
    """1. The float models

    Two epochs each, then accuracy on the held-out data, parameters, the size of the saved weights, and FLOPs.
    """
    rows: list[Row] = []
    for number, (name, task) in enumerate(lab.tasks.items(), 1):
        net = lab.nets[name] = trained(task)
        top1 = evaluate_top1(net, task.held_out.batches(EVALUATION_BATCH))
        params = sum(p.numel() for p in net.parameters())
        size, operations = state_megabytes(net), flops(float_graph(net, task))
        title, where = TITLES[name], "float models"
        lab.report.answer(f"1.{number}a", f"{title}: held-out accuracy", top1, "%", where)
        lab.report.answer(f"1.{number}b", f"{title}: parameters", params, "", where)
        lab.report.answer(f"1.{number}c", f"{title}: size of torch.save(state_dict)", size, "MB", where)
        lab.report.answer(f"1.{number}d", f"{title}: FLOPs of one input", operations, "", where)
        rows.append([title, top1, params, size, operations])
    lab.report.table("float models", ("task", "top-1 %", "parameters", "state_dict, MB", "FLOPs"), rows)


def state_megabytes(net: nn.Module) -> float:
    """Size of the weights in a file of torch.save."""
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    return len(file.getvalue()) / MEGABYTE


def float_graph(net: nn.Module, task: Task) -> GraphModule:
    """Capture and fuse the net."""
    return fx.fuse(fx.capture(net, (task.make_input(2),)))


def calibration(task: Task) -> Iterator[Tensor]:
    """First rows of the training data."""
    return iter(torch.split(task.training.inputs[:CALIBRATION_ROWS], CALIBRATION_BATCH))


def forms_of(net: Mlp, task: Task) -> dict[str, GraphModule]:
    """Make the net in each of the four forms."""
    graph = float_graph(net, task)
    return {
        "float32": graph,
        "float16": to_half(graph, "fp16"),
        "dynamic int8": to_dynamic(graph),
        "static int8": fx.quantize(net, (task.make_input(2),), calibration(task)),
    }


def forms_of_each_model(lab: MnistSst2) -> None:
    """3. and 4. Float16, dynamic int8 and static int8

    Size of the file, accuracy, and the time of a call at batch 1 and 64: mean and standard deviation over five runs,
    the first of six left out. Sizes of PyTorch are those of the .pt2 file, of onnxruntime those of the ONNX file.
    """
    for number, (name, task) in enumerate(lab.tasks.items(), 1):
        subjects = subjects_of(lab, name, task)
        times = latencies(list(subjects.values()), task.make_input, BATCHES, runs=_runs(lab))
        limit = 2000 if lab.quick else None
        where = f"forms of {TITLES[name]}"
        rows: list[Row] = []
        for index, (form, subject) in enumerate(subjects.items()):
            top1 = accuracy(subject, task.held_out.batches(EVALUATION_BATCH, limit))
            size, both = file_megabytes(subject), [times[subject.name, batch] for batch in BATCHES]
            measured = [number for time in both for number in (time.mean_ms, time.std_ms)]
            rows.append([subject.name, size, subject.params, top1, *measured])
            section = 3 if form.startswith(FORMS[:3]) else 4
            question = f"{section}.{number}{'abcdefgh'[index]}"
            _answer_form(lab, question, f"{TITLES[name]}, {form}", (size, top1, both), where)
        lab.report.table(where, COLUMNS, rows)


def _runs(lab: MnistSst2) -> int:
    """Number of timed runs; with quick settings two, since a call of some forms takes a second."""
    return 2 if lab.quick else RUNS


def subjects_of(lab: MnistSst2, name: str, task: Task) -> dict[str, Subject]:
    """Make all forms of a task's net in both runtimes."""
    folder = lab.report.settings.out / "files" / name
    found: dict[str, Subject] = {}
    for form, graph in forms_of(lab.nets[name], task).items():
        pair = in_both_runtimes(form.replace(" ", "_"), form.replace("float32", "fp32"), graph, folder)
        found |= {f"{form} {subject.runtime}": subject for subject in pair}
    return found


def _answer_form(
    lab: MnistSst2, number: str, what: str, measured: tuple[float, float, list[Latency]], where: str
) -> None:
    size, top1, times = measured
    lab.report.answer(f"{number}1", f"{what}: size", size, "MB", where)
    lab.report.answer(f"{number}2", f"{what}: accuracy", top1, "%", where)
    for part, batch, latency in zip((3, 4), BATCHES, times, strict=True):
        question = f"{what}: time at batch {batch}, mean and deviation of {_runs(lab)} runs"
        lab.report.answer(f"{number}{part}", question, latency.mean_ms, "ms", where, latency.std_ms)


def one_layer_at_a_time(lab: MnistSst2) -> None:
    """7. One layer in int8 at a time, and all but one

    SQNR of the logits, and accuracy, with each layer alone in int8 and with each layer alone left in float.
    """
    for number, (name, task) in enumerate(lab.tasks.items(), 1):
        calibrated = calibrate_once(float_graph(lab.nets[name], task), fx.QuantConfig(), calibration(task))
        limit = SENSITIVITY_ROWS if lab.quick else None
        found = quant_sensitivity(calibrated, partial(task.held_out.batches, 250, limit))
        where = f"layers of {TITLES[name]}"
        whole = found.int8["torch"]
        rows: list[Row] = [["none", found.float_score.top1, None, found.float_score.top1, None]]
        rows += [
            [layer.unit.label, layer.alone.top1, layer.alone.sqnr_db, layer.kept_float.top1, layer.kept_float.sqnr_db]
            for layer in found.layers
        ]
        rows.append(["all", whole.top1, whole.sqnr_db, found.float_score.top1, None])
        columns = ("layer", "alone int8, %", "SQNR, dB", "all but this, %", "SQNR, dB")
        lab.report.table(where, columns, rows)
        for letter, layer in zip("abcdefgh", found.layers, strict=False):
            what = f"{TITLES[name]}: SQNR of the logits with"
            alone, kept = layer.alone.sqnr_db or 0.0, layer.kept_float.sqnr_db or 0.0
            lab.report.answer(f"7.{number}{letter}1", f"{what} {layer.unit.label} alone in int8", alone, "dB", where)
            lab.report.answer(f"7.{number}{letter}2", f"{what} all but {layer.unit.label} in int8", kept, "dB", where)


def mixed_precision_training(lab: MnistSst2) -> None:
    """8. Training with bfloat16 products

    One epoch of MNIST in float32 and one under autocast: seconds, and accuracy.
    """
    task = lab.tasks["mnist"]
    rows: list[Row] = []
    for letter, bf16 in zip("ab", (False, True), strict=True):
        started = time.perf_counter()
        net = trained(_part(task, QUICK_ROWS) if lab.quick else task, epochs=1, bf16=bf16)
        seconds = time.perf_counter() - started
        top1 = evaluate_top1(net, task.held_out.batches(EVALUATION_BATCH))
        kind = "bfloat16 products" if bf16 else "float32"
        lab.report.answer(f"8.1{letter}", f"MNIST, one epoch in {kind}: seconds", seconds, "s", "mixed precision")
        lab.report.answer(f"8.2{letter}", f"MNIST, one epoch in {kind}: accuracy", top1, "%", "mixed precision")
        rows.append([kind, seconds, top1])
    lab.report.table("mixed precision", ("training", "seconds", "top-1 %"), rows)


def _part(task: Task, rows: int) -> Task:
    """Reduce the task to the first training rows."""
    training = replace(task.training, inputs=task.training.inputs[:rows], labels=task.training.labels[:rows])
    return replace(task, training=training)
