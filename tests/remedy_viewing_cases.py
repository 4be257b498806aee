"""Errors of looking at models and runs: what raises each, a part of its remedy, and the same with the remedy taken."""

from __future__ import annotations

import json
from pathlib import Path

from remedy_subjects import Case, X, float_file, small_graph, small_net
from stub_runners import readable_report
from tiny_graphs import observed, quantized

import fxpasses
from fxpasses.comparing.picture import write_picture
from fxpasses.export import diff
from fxpasses.reports.compare.runs import read_runs
from fxpasses.reports.compare.side_by_side import SideBySide, view_both
from fxpasses.reports.netron_process import start_netron
from fxpasses.reports.view import view


def _run(folder: Path) -> Path:
    (folder / "report.json").write_text(json.dumps(readable_report()))
    return folder


def _both(folder: Path, port: int | None = None) -> SideBySide:
    file = float_file(folder)
    return view_both(file, file, port, browse=False)


def _on_a_taken_port(folder: Path) -> None:
    both = _both(folder)
    try:
        _both(folder, int(both.url.rpartition(":")[2]))
    finally:
        both.stop()


VIEWING_CASES: dict[str, Case] = {
    "fxpasses/comparing/read.py:read_steps": (
        lambda folder: diff(observed("conv_bn_relu"), quantized("conv_bn_relu")),
        "fx.convert(graph)",
        lambda folder: diff(fxpasses.convert(observed("conv_bn_relu")), quantized("conv_bn_relu")),
    ),
    "fxpasses/comparing/read.py:read_steps#2": (
        lambda folder: diff(small_net(), small_graph()),
        "inputs=example_inputs",
        lambda folder: diff(small_net(), small_graph(), inputs=(X,)),
    ),
    "fxpasses/comparing/read.py:_read_file": (
        lambda folder: diff(folder / "model.tflite", small_graph()),
        "give files that end in .onnx or .pt2",
        lambda folder: diff(float_file(folder), small_graph()),
    ),
    "fxpasses/comparing/picture.py:write_picture": (
        lambda folder: write_picture(diff(small_graph(), small_graph()), folder / "d.pdf"),
        "name it d.svg",
        lambda folder: write_picture(diff(small_graph(), small_graph()), folder / "d.svg"),
    ),
    "fxpasses/reports/compare/runs.py:read_runs": (
        lambda folder: read_runs([]),
        "name folders that quantize or prune made, or report.json files",
        lambda folder: read_runs([_run(folder), folder / "report.json"]),
    ),
    "fxpasses/reports/netron_process.py:start_netron": (
        lambda folder: start_netron(folder / "absent.onnx"),
        "look at the files one by one: fxpasses view FILE",
        lambda folder: view(float_file(folder), browse=False, wait=False).stop(),
    ),
    "fxpasses/reports/compare/side_by_side.py:_serve": (
        _on_a_taken_port,
        "leave the choice to us",
        lambda folder: _both(folder).stop(),
    ),
    "fxpasses/reports/view.py:require_viewable": (
        lambda folder: view(folder, browse=False, wait=False),
        "name a file that ends in .onnx",
        lambda folder: view(float_file(folder), browse=False, wait=False).stop(),
    ),
}
"""By the place in the sources that raises it."""
