"""A run can stop at any step and resume to the same weights; errors are named."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from training_nets import FEW_BITS, SHORT, calibration, labelled, prepared, small

from fxpasses.errors import InputError
from fxpasses.graph.pass_runner import copy_graph
from fxpasses.training import RunSettings, TrainingRun, freeze_training, reestimate_statistics
from fxpasses.training.runs.run_data import RunData
from fxpasses.training.runs.training_run import TrainingProgress

TESTS = Path(__file__).resolve().parent.parent


def run_of(settings: RunSettings = SHORT, data: Any = None) -> TrainingRun:
    """A run whose batches are shuffled from torch's global generator, and whose images are changed from python's."""

    def epoch(number: int) -> Any:
        batches = labelled()
        for k in torch.randperm(len(batches)).tolist():
            yield batches[k][0] * random.uniform(0.9, 1.1), batches[k][1]

    torch.manual_seed(0)
    random.seed(0)
    return TrainingRun(prepared(), RunData(data or epoch, 4), settings, small(), calibration())


def weights_of(run: TrainingRun) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in run.current.state_dict().items()}


def test_it_learns_and_tells() -> None:
    told: list[TrainingProgress] = []
    run = run_of()
    frozen = run.run(on_step=told.append)
    assert not frozen.training and [p.step for p in told] == list(range(1, 9))
    assert [p.phase for p in told] == ["open"] * 5 + ["frozen"] * 3
    assert told[-1].epoch == 2.0 and told[-1].seconds_left == 0 and told[0].seconds_left > 0
    assert [(row.epoch, row.phase) for row in run.curve] == [(1.0, "open"), (1.25, "open"), (2.0, "frozen")]
    assert run.curve[0].loss == pytest.approx(sum(p.loss for p in told[:4]) / 4)


def test_it_comes_nearer_to_float() -> None:
    torch.manual_seed(0)
    graph = prepared(replace(FEW_BITS, weight_bits=2, activation_bits=2))
    x, _ = labelled(1)[0]
    with torch.no_grad():
        wanted, before = small()(x), freeze_training(graph).eval()(x)
    settings = replace(SHORT, epochs=6, distillation=1.0, temperature=1.0, lr=0.05)
    after = TrainingRun(graph, RunData(labelled()), settings, small(), calibration()).run()
    with torch.no_grad():
        assert (after(x) - wanted).square().sum() < 0.5 * (before - wanted).square().sum()


@pytest.mark.parametrize(("ema", "stops"), [pytest.param(0.0, (3, 6), marks=pytest.mark.slow), (0.5, (1, 4, 5, 8))])
def test_stopped_anywhere_it_comes_to_the_same_weights(ema: float, stops: tuple[int, ...], tmp_path: Path) -> None:
    settings = replace(SHORT, ema=ema)
    whole = run_of(settings)
    whole.run()
    expected = weights_of(whole)
    first = run_of(settings)
    for stop in range(1, max(stops) + 1):
        first.step()
        first.save(tmp_path / f"{stop}.pt")
    for stop in stops:
        later = run_of(settings)
        torch.manual_seed(99)
        random.seed(99)
        later.resume(tmp_path / f"{stop}.pt")
        later.run()
        found = weights_of(later)
        assert found.keys() == expected.keys() and all(torch.equal(v, expected[k]) for k, v in found.items()), stop
        assert later.curve == whole.curve


def test_statistics_stand_from_hold_at_on() -> None:
    run = run_of(replace(SHORT, epochs=1, frozen_share=0, hold_at=0.5))
    for _ in range(3):
        run.step()
    before = {k: v.clone() for k, v in run.graph.state_dict().items() if "running" in k}
    run.step()
    assert before and all(torch.equal(v, run.graph.state_dict()[k]) for k, v in before.items())


def test_statistics_are_taken_again_before_they_are_held() -> None:
    run = run_of(replace(SHORT, epochs=1, frozen_share=0, hold_at=0.5))
    for _ in range(2):
        run.step()
    expected = copy_graph(run.graph)
    reestimate_statistics(expected, calibration())
    run.step()
    found, wanted = run.graph.state_dict(), expected.state_dict()
    assert all(torch.equal(v, found[k]) for k, v in wanted.items() if "running" in k)


def test_a_checkpoint_of_another_run(tmp_path: Path) -> None:
    run_of().save(tmp_path / "checkpoint.pt")
    with pytest.raises(InputError, match="is of another run"):
        run_of(replace(SHORT, lr=0.5)).resume(tmp_path / "checkpoint.pt")


def test_bits_are_part_of_the_run(tmp_path: Path) -> None:
    run_of().save(tmp_path / "checkpoint.pt")
    other = prepared(replace(FEW_BITS, weight_bits=3))
    run = TrainingRun(other, RunData(labelled()), SHORT, small(), calibration())
    with pytest.raises(InputError, match="is of another run"):
        run.resume(tmp_path / "checkpoint.pt")


def test_nan_stops_it_with_the_step_and_the_place(tmp_path: Path) -> None:
    run = run_of()
    run.step()
    run.save(tmp_path / "checkpoint.pt")
    with torch.no_grad():
        run.graph.get_parameter("depthwise.step")[2] = float("nan")
    with pytest.raises(InputError, match=r"(?s)diverged at step 2 of 8.*depthwise: its range broke"):
        run.step()
    later = run_of()
    later.resume(tmp_path / "checkpoint.pt")  # what the error says
    later.step()


def test_a_broken_state_does_not_take_the_place_of_a_good_one(tmp_path: Path) -> None:
    run, path = run_of(), tmp_path / "checkpoint.pt"
    run.save(path)
    good = path.read_bytes()
    with torch.no_grad():
        run.graph.get_parameter("wide.weight")[0] = float("inf")
    with pytest.raises(InputError, match=r"(?s)no finite weights; wide: its weight holds infinity"):
        run.save(path)
    assert path.read_bytes() == good


def test_nan_in_the_data() -> None:
    batches = [(x * float("nan"), y) for x, y in labelled()]
    with pytest.raises(InputError, match="diverged at step 1 of 8"):
        run_of(data=lambda epoch: batches).step()


@pytest.mark.parametrize(
    ("batch", "what"),
    [
        ((torch.zeros(2, 4, 9, 7), torch.zeros(2, dtype=torch.int64)), "does not train on a batch of shape"),
        ((torch.zeros(2, 3, 9, 7), torch.zeros(3, dtype=torch.int64)), "no cross-entropy of outputs"),
        ((torch.zeros(2, 3, 9, 7), torch.full((2,), 9)), "has the label 9"),
    ],
)
def test_batches_that_do_not_fit(batch: Any, what: str) -> None:
    with pytest.raises(InputError, match=what):
        run_of(data=lambda epoch: [batch] * 4).step()


def test_a_net_without_depthwise_layers_is_not_dampened() -> None:
    run = run_of(replace(SHORT, dampening=None))
    run.graph.set_submodule("depthwise", nn.Identity())
    assert run._dampening().item() == 0
    run.settings = replace(SHORT, dampening=1.0)
    run.done = 4
    assert run._dampening().item() > 0


DRIVER = """
import os, random, signal, sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
from training.test_training_run import LONG, run_of, weights_of
folder = Path({folder!r})


def attempt(name):
    child = os.fork()
    if child == 0:
        run, path = run_of(LONG), folder / (name + ".pt")
        if path.exists():
            run.resume(path)
        (folder / "begun").touch()
        run.run(path, every=1)
        torch.save(weights_of(run), folder / (name + ".weights"))
        os._exit(0)
    return child


assert os.waitpid(attempt("whole"), 0)[1] == 0
took = time.time() - (folder / "begun").stat().st_mtime
(folder / "begun").unlink()
chance = random.Random(5)
for _ in range({kills}):
    child = attempt("killed")
    while not (folder / "begun").exists():
        time.sleep(0.001)
    (folder / "begun").unlink()
    time.sleep(chance.uniform(0.0, took / {kills} / 3))
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL, "it was done before it could be killed"
print(torch.load(folder / "killed.pt", weights_only=True)["done"] if (folder / "killed.pt").exists() else 0)
assert os.waitpid(attempt("killed"), 0)[1] == 0
"""
LONG = replace(SHORT, epochs=40)
KILLS = 10
"""Each comes within a thirtieth of the time that a whole run took, so that all of them come before its end."""


@pytest.mark.slow
def test_killed_at_random_moments_it_comes_to_the_same_weights(tmp_path: Path) -> None:
    driver = DRIVER.format(tests=str(TESTS), folder=str(tmp_path), kills=KILLS)
    done = subprocess.run(
        [sys.executable, "-c", driver], env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0  # it had come some way when it was killed last
    whole, killed = (torch.load(tmp_path / f"{name}.weights", weights_only=True) for name in ("whole", "killed"))
    assert whole.keys() == killed.keys() and all(torch.equal(v, killed[k]) for k, v in whole.items())
