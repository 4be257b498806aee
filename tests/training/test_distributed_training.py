"""Two processes: one set of samples, the ranges of one process, the same weights in both."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training_nets import FEW_BITS, calibration, float_graph, labelled

import fxpasses
from fxpasses.training.distributed import average_gradients, is_first, processes, samples_of_all

TESTS = Path(__file__).resolve().parent.parent
CHILD = """
import contextlib, sys, time; sys.path.insert(0, {tests!r})
from pathlib import Path
import torch, torch._dynamo, torch.distributed as dist, fxpasses  # torch._dynamo: see docs/training.md
from training_nets import FEW_BITS, SHORT, calibration, float_graph, labelled, small
from fxpasses.errors import InputError
from fxpasses.training import TrainingRun
from fxpasses.training.distributed import samples_of_all
from fxpasses.training.runs.run_data import RunData
torch.set_num_threads(1)
dist.init_process_group("gloo")
rank = dist.get_rank()
mine = calibration()[rank::2]
observed = fxpasses.observe(fxpasses.fuse(float_graph()), FEW_BITS.observing())
fxpasses.calibrate(observed, mine)
assert fxpasses.training.merge_ranges(observed) > 3
torch.save(fxpasses.convert(observed).state_dict(), f"{{sys.argv[1]}}/merged{{rank}}.pt")
graph = fxpasses.prepare_training(float_graph(), mine, FEW_BITS)
torch.save(graph.state_dict(), f"{{sys.argv[1]}}/prepared{{rank}}.pt")
run = TrainingRun(graph, RunData(labelled()[rank::2]), SHORT, small(), mine)
run.run()
torch.save(run.current.state_dict(), f"{{sys.argv[1]}}/trained{{rank}}.pt")
refused = 0
for wrong in (mine[: rank + 1], [mine[0][: 3 + rank]]):
    try:
        samples_of_all(wrong)
    except InputError as error:
        assert "differ" in str(error)
        refused += 1
assert refused == 2
dist.destroy_process_group()
def gloo_threads():
    # none where there is no /proc; a thread may vanish while it is read
    found = []
    for name in Path("/proc/self/task").glob("*/comm"):
        with contextlib.suppress(OSError):
            found.append(name.read_text().strip())
    return [name for name in found if "gloo" in name]


end = time.monotonic() + 30
while gloo_threads() and time.monotonic() < end:
    time.sleep(0.01)
assert not gloo_threads(), f"the process group is not destroyed: {{gloo_threads()}}"
"""


def test_alone_nothing_happens() -> None:
    layer = torch.nn.Linear(2, 2)
    layer(torch.ones(1, 2)).sum().backward()
    assert layer.weight.grad is not None
    before = layer.weight.grad.clone()
    average_gradients(layer)
    assert processes() == 1 and is_first() and samples_of_all([1, 2]) == [1, 2]
    assert torch.equal(layer.weight.grad, before)


@pytest.mark.slow
def test_two_processes(tmp_path: Path) -> None:
    script = tmp_path / "child.py"
    script.write_text(CHILD.format(tests=str(TESTS)))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    done = subprocess.run(
        [*command, str(script), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    states = {name: torch.load(tmp_path / f"{name}.pt") for name in ("prepared0", "prepared1", "trained0", "trained1")}
    alone = fxpasses.prepare_training(float_graph(), calibration(), FEW_BITS).state_dict()
    for rank in (0, 1):
        prepared = states[f"prepared{rank}"]
        assert prepared.keys() == alone.keys() and all(torch.equal(v, alone[k]) for k, v in prepared.items())
    observed = fxpasses.observe(fxpasses.fuse(float_graph()), FEW_BITS.observing())
    fxpasses.calibrate(observed, calibration())
    whole = fxpasses.convert(observed).state_dict()
    for rank in (0, 1):
        merged = torch.load(tmp_path / f"merged{rank}.pt")
        assert all(torch.equal(v, whole[k]) for k, v in merged.items())
    first, second = states["trained0"], states["trained1"]
    assert all(torch.equal(v, second[k]) for k, v in first.items()) and len(labelled()) == 4
