"""Training on another device: no step reads a number from it, and results are those of the CPU within rounding.

Without a GPU, tensors without values stand in for it: reading one is an error. For values, the CPU counts as another
device.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from training_nets import BYTES, FEW_BITS, SHORT, calibration, images, labelled, prepared, small

import fxpasses
from fxpasses.errors import InputError
from fxpasses.training import RunSettings, TrainingConfig, TrainingRun
from fxpasses.training.fake import fake_quantize
from fxpasses.training.runs import step_readings, training_run
from fxpasses.training.runs.optimizers import optimizer_of
from fxpasses.training.runs.run_data import RunData
from fxpasses.training.runs.step_readings import StepReading
from fxpasses.training.runs.training_run import TrainingProgress

CONFIGS = {"learned": FEW_BITS, "bytes": BYTES, "observed": replace(FEW_BITS, ranges="observed")}
META = torch.device("meta")
CLOSE = 1e-4
"""Relative difference of losses after eight steps: a few roundings of 2**-24 in each, amplified by BatchNorms."""


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (fake_quantize, step_readings, training_run):
        monkeypatch.setattr(module, "is_remote", lambda x: True)


def run_of(config: TrainingConfig, settings: RunSettings, teacher: nn.Module | None = None) -> TrainingRun:
    torch.manual_seed(0)
    return TrainingRun(prepared(config), RunData(labelled()), settings, teacher or small(), calibration())


@pytest.mark.parametrize("name", ["learned", "observed", pytest.param("bytes", marks=pytest.mark.slow)])
def test_no_step_reads_a_number(name: str) -> None:
    settings = replace(SHORT, epochs=5, frozen_share=0.2, ema=0.9, dampening=0.01)
    graph = prepared(CONFIGS[name]).to(META)
    run = TrainingRun(graph, RunData(labelled(3)), settings, small())
    run._readings.last = StepReading(1, 0.5, 4.0, 8)  # the first step's results are read, to be shown
    assert [run.step() for _ in range(2)] == [(0.5, 50.0)] * 2
    with pytest.raises((NotImplementedError, RuntimeError), match="meta"):
        run.step()  # the last one of the epoch is read


def test_no_frozen_step_reads_a_number() -> None:
    run = run_of(BYTES, replace(SHORT, epochs=4, frozen_share=0.9))
    while run.frozen is None:
        run.step()
    meta = TrainingRun(run.graph.to(META), RunData(labelled(8)), replace(SHORT, frozen_share=0.9), small())
    meta.frozen, meta.done = run.frozen.to(META), meta.schedule.opened + 1
    meta._readings.last = StepReading(1, 0.5, 4.0, 8)
    meta.optimizer = optimizer_of(meta.frozen, meta.settings, frozen=True)
    assert [meta.step() for _ in range(2)] == [(0.5, 50.0)] * 2


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_losses_are_the_cpus(config: TrainingConfig, request: pytest.FixtureRequest) -> None:
    here = run_of(config, SHORT)
    here.run()
    request.getfixturevalue("remote")
    there = run_of(config, SHORT)
    told: list[TrainingProgress] = []
    there.run(on_step=told.append)
    assert [row.epoch for row in there.curve] == [row.epoch for row in here.curve]
    assert [row.loss for row in there.curve] == pytest.approx([row.loss for row in here.curve], rel=CLOSE)
    # eight steps in three rows: read after the first and at the ends of rows
    assert len({p.loss for p in told}) == 4 and all(torch.tensor(p.loss).isfinite() for p in told)


@pytest.mark.parametrize("begins_remote", [True, False])
def test_a_checkpoint_of_one_device_resumes_on_another(
    begins_remote: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run_of(CONFIGS["observed"], SHORT)
    expected.run()
    with monkeypatch.context() as patch:
        for module in (fake_quantize, step_readings, training_run) if begins_remote else ():
            patch.setattr(module, "is_remote", lambda x: True)
        first = run_of(CONFIGS["observed"], SHORT)
        for _ in range(4):  # the range is held from here on
            first.step()
        first.save(tmp_path / "checkpoint.pt")
    for module in () if begins_remote else (fake_quantize, step_readings, training_run):
        monkeypatch.setattr(module, "is_remote", lambda x: True)
    later = run_of(CONFIGS["observed"], SHORT)
    later.resume(tmp_path / "checkpoint.pt")
    known = {(bool(m.frozen), m._known.frozen) for m in later.graph.modules() if isinstance(m, Quantizer)}
    assert known == {(False, False)}
    later.run()
    assert {m._known.frozen for m in later.graph.modules() if isinstance(m, Quantizer)} == {True}
    assert [row.loss for row in later.curve] == pytest.approx([row.loss for row in expected.curve], rel=CLOSE)


Quantizer = fake_quantize.ActivationQuantizer


@pytest.mark.usefixtures("remote")
def test_divergence_is_told_with_its_step() -> None:
    run = run_of(FEW_BITS, replace(SHORT, lr=1e30, epochs=4))
    with pytest.raises(InputError, match=r"training diverged at step [2-4] of 16\n.*the loss is nan"):
        run.run()


def test_the_device_is_asked_before_anything_else() -> None:
    with pytest.raises(InputError, match="models run on the CPU or on NVIDIA GPUs"):
        fxpasses.train_quantized(small(), images(0), labelled(), device="meta")
    assert fxpasses.train_quantized(small(), images(0), labelled(), BYTES, replace(SHORT, epochs=0.5), device="cpu")
