"""Sections of lab 3 that vary the net: times over hidden sizes and batches, and accuracy over depth, width and crop."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

from subjects.measured_model import Subject, flops, in_both_runtimes, latencies

from fxpasses.models.training.evaluation import evaluate_top1
from fxpasses.models.training.settle import settle
from small.mnist_sst2_forms import float_graph, forms_of
from small.mnist_sst2_state import MnistSst2
from small.small_mlps import EVALUATION_BATCH, Mlp, Task, mnist_task, trained

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTHS, QUICK_WIDTHS = (64, 128, 256, 512, 1024, 2048), (128, 1024)
BATCHES, QUICK_BATCHES = (1, 4, 16, 64, 256), (1, 64)
DEPTHS, CROPS = (1, 2, 3), (10, 20, 28)
RUNTIMES = ("torch", "onnxruntime")
INT8 = ("dynamic int8", "static int8")
Times = dict[tuple[int, int, str], float]
"""Milliseconds by width, batch, and form with its runtime."""


def benchmark_of_widths(lab: MnistSst2) -> None:
    """5. Times over hidden sizes and batch sizes

    Two hidden layers of each width between 400 inputs and 10 classes, weights at random, in every form and runtime.
    """
    widths, batches = (QUICK_WIDTHS, QUICK_BATCHES) if lab.quick else (WIDTHS, BATCHES)
    times: Times = {}
    for width in widths:
        task = replace(lab.tasks["mnist"], hidden=(width, width))
        net = settle(Mlp(task.inputs, task.hidden, task.classes), 0, (task.make_input(64),))
        subjects = _subjects(lab, net, task)
        measured = latencies(list(subjects.values()), task.make_input, batches, runs=2 if lab.quick else 5)
        for (form, subject), batch in product(subjects.items(), batches):
            times[width, batch, form] = measured[subject.name, batch].mean_ms
    forms = list(dict.fromkeys(form for _, _, form in times))
    columns = ("hidden", "batch", *(f"{form}, ms" for form in forms))
    rows = [[w, b, *(times[w, b, form] for form in forms)] for w, b in product(widths, batches)]
    lab.report.table("times over hidden sizes", columns, rows)
    for batch in batches:
        lab.report.plot(f"times_batch_{batch}", partial(_draw, times=times, widths=widths, batch=batch, forms=forms))
    _answer_speedups(lab, times, widths, batches)


def _subjects(lab: MnistSst2, net: Mlp, task: Task) -> dict[str, Subject]:
    folder = lab.report.settings.out / "files" / f"hidden_{task.hidden[0]}"
    found: dict[str, Subject] = {}
    for form, graph in forms_of(net, task).items():
        pair = in_both_runtimes(form.replace(" ", "_"), form.replace("float32", "fp32"), graph, folder)
        found |= {f"{form} {subject.runtime}": subject for subject in pair}
    return found


def _answer_speedups(lab: MnistSst2, times: Times, widths: tuple[int, ...], batches: tuple[int, ...]) -> None:
    where = "times over hidden sizes"
    for number, (form, runtime) in enumerate(product(INT8, RUNTIMES), 1):
        for letter, batch in zip("abcde", batches, strict=False):
            faster = [times[w, batch, f"float32 {runtime}"] / times[w, batch, f"{form} {runtime}"] for w in widths]
            what, wins = (
                f"{form} in {runtime}, batch {batch}",
                [w for w, r in zip(widths, faster, strict=True) if r > 1],
            )
            question = f"{what}: times as fast as float32 at {widths[-1]} units"
            lab.report.answer(f"5.{number}{letter}1", question, faster[-1], "", where)
            question = f"{what}: smallest hidden size at which it is faster (0: none)"
            lab.report.answer(f"5.{number}{letter}2", question, min(wins, default=0), "units", where)


def _draw(axes: Axes, times: Times, widths: tuple[int, ...], batch: int, forms: list[str]) -> None:
    for form in forms:
        axes.plot(widths, [times[w, batch, form] for w in widths], marker="o", label=form)
    axes.set(xscale="log", yscale="log", xlabel="hidden units", ylabel="ms", title=f"batch {batch}, one thread")
    axes.legend(fontsize=7)


def shapes_of_nets(lab: MnistSst2) -> None:
    """6. Accuracy, FLOPs and time over depth, width and input size

    Nets for MNIST that differ in one thing from two hidden layers of 256 units on 20x20 pixels, an epoch each.
    """
    cases = {(depth, 256, 20) for depth in DEPTHS} | {(2, width, 20) for width in (64, 256, 1024)}
    cases |= {(2, 256, crop) for crop in CROPS}
    rows, tasks = [], {crop: mnist_task(lab.report.settings.data / "mnist", (), crop) for crop in CROPS}
    for number, (depth, width, crop) in enumerate(sorted(cases), 1):
        task = replace(tasks[crop], hidden=(width,) * depth)
        if lab.quick:
            training = replace(task.training, inputs=task.training.inputs[:6000], labels=task.training.labels[:6000])
            task = replace(task, training=training)
        net = trained(task, epochs=1)
        top1 = evaluate_top1(net, task.held_out.batches(EVALUATION_BATCH))
        graph = float_graph(net, task)
        folder = lab.report.settings.out / "files" / "shapes"
        subject = in_both_runtimes(f"{depth}x{width}_{crop}", "fp32", graph, folder)[1]
        time = latencies([subject], task.make_input, (1,), runs=2 if lab.quick else 5)[subject.name, 1].mean_ms
        what, where = f"{depth} hidden of {width}, {crop}x{crop} pixels", "shapes of nets"
        lab.report.answer(f"6.{number}a", f"{what}: accuracy", top1, "%", where)
        lab.report.answer(f"6.{number}b", f"{what}: FLOPs", flops(graph), "", where)
        lab.report.answer(f"6.{number}c", f"{what}: time at batch 1 in onnxruntime", time, "ms", where)
        rows.append([depth, width, crop, top1, flops(graph), time])
    lab.report.table("shapes of nets", ("hidden layers", "units", "pixels", "top-1 %", "FLOPs", "ms"), rows)
    for name, (x, y), labels in (
        ("flops_accuracy", (4, 3), ("FLOPs", "top-1 %")),
        ("latency_accuracy", (5, 3), ("ms at batch 1", "top-1 %")),
        ("flops_latency", (4, 5), ("FLOPs", "ms at batch 1")),
    ):
        lab.report.plot(name, partial(_scatter, rows=rows, columns=(x, y), labels=labels))


def _scatter(axes: Axes, rows: list[list[int | float]], columns: tuple[int, int], labels: tuple[str, str]) -> None:
    x, y = columns
    axes.scatter([row[x] for row in rows], [row[y] for row in rows])
    for row in rows:
        axes.annotate(f"{row[0]}x{row[1]}, {row[2]}px", (row[x], row[y]), fontsize=7)
    axes.set(xlabel=labels[0], ylabel=labels[1], xscale="log")
