"""Measurements of every form of a model in the labs: files, parameters, times and FLOPs, in both runtimes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small.small_mlps import Mlp
from subjects import measured_model
from subjects.measured_model import accuracy, file_megabytes, flops, in_both_runtimes, latencies, parameters
from torch.fx import GraphModule

import fxpasses as fx
from fxpasses.models.training.settle import settle
from fxpasses.precision.dynamic import to_dynamic
from fxpasses.precision.half import to_half

PARAMETERS = 16 * 8 + 8 + 8 * 3 + 3


@pytest.fixture(scope="module")
def graphs() -> dict[str, GraphModule]:
    x = torch.randn(64, 16, generator=torch.Generator().manual_seed(0))
    net = settle(Mlp(16, (8,), 3), 0, (x,))
    graph = fx.fuse(fx.capture(net, (x[:2],)))
    return {
        "fp32": graph,
        "fp16": to_half(graph, "fp16"),
        "dynamic int8": to_dynamic(graph),
        "static int8": fx.quantize(net, (x[:2],), [x], fx.QuantConfig()),
    }


@pytest.mark.parametrize("form", ["fp32", "fp16", "dynamic int8", "static int8"])
def test_parameters_are_counted_in_every_form(graphs: dict[str, GraphModule], form: str) -> None:
    assert parameters(graphs[form]) == PARAMETERS


def test_flops_are_two_for_each_product(graphs: dict[str, GraphModule]) -> None:
    assert flops(graphs["fp32"]) == flops(graphs["static int8"]) == 2 * (16 * 8 + 8 * 3)


@pytest.mark.parametrize(
    "form", ["static int8", *(pytest.param(f, marks=pytest.mark.slow) for f in ("fp32", "dynamic int8"))]
)
def test_both_runtimes_are_measured_alike(graphs: dict[str, GraphModule], form: str, tmp_path: Path) -> None:
    x = torch.randn(32, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        labels = graphs["fp32"](x).argmax(1)
    here, there = in_both_runtimes(form.replace(" ", "_"), form, graphs[form], tmp_path)
    assert (here.runtime, there.runtime) == ("torch", "onnxruntime")
    assert accuracy(here, [(x, labels)]) == accuracy(there, [(x, labels)]) >= 90
    assert file_megabytes(here) > 0 and there.file.suffix == ".onnx"
    times = latencies([here, there], lambda batch: x[:batch], (1, 4), runs=2)
    assert set(times) == {(subject.name, batch) for subject in (here, there) for batch in (1, 4)}
    assert all(time.mean_ms > 0 and time.std_ms >= 0 for time in times.values())


def test_slow_models_get_fewer_runs(
    graphs: dict[str, GraphModule], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured_model, "MOST_SECONDS", 0.01)
    subject, _ = in_both_runtimes("fp32", "fp32", graphs["fp32"], tmp_path)
    time = latencies([subject], lambda batch: torch.zeros(batch, 16), (1,), runs=50)[subject.name, 1]
    assert time.mean_ms > 0 and time.std_ms == 0
