"""Training in rounds: a killed run resumes to the result of an uninterrupted one, and its files are safe to load."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import long_training
import pytest
import torch
from long_training import CHECKPOINT, LOG, PUBLISHED, LongRun, Trainer, cropped, main, place_of, train_on
from torch import Tensor, nn

from fxpasses.models.data.array_split import ArraySplit
from fxpasses.models.model_input import UNIT_RANGE

RUN = LongRun(rounds=((8, 12), (12, 12, 12)), batch=8)


class TinyNet(nn.Module):
    """A convolution, BatchNorm and a linear layer behind the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.linear = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.linear(self.norm(self.conv(x)).relu().mean((2, 3)))
        return logits


def _trainer(run: LongRun = RUN) -> Trainer:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (32, 3, 12, 12), dtype=torch.uint8, generator=generator)
    torch.manual_seed(0)
    return Trainer(TinyNet(), ArraySplit(images, torch.arange(32) % 10), run, UNIT_RANGE)


def _steps(trainer: Trainer, count: int) -> None:
    for _ in range(count):
        place = place_of(trainer.next_step, trainer.steps_per_epoch, trainer.run.rounds)
        assert place is not None
        trainer.train_step(place)


def test_a_round_is_a_cosine_and_the_next_begins_anew() -> None:
    places = [place_of(step, 4, RUN.rounds) for step in range(21)]
    assert places[20] is None
    found = [place for place in places if place is not None]
    assert [place.crop for place in found[::4]] == [8, 12, 12, 12, 12]
    assert [place.progress for place in (found[0], found[7], found[8], found[19])] == [0, 7 / 8, 0, 11 / 12]
    assert (found[9].epoch, found[9].step) == (2, 1)


def test_a_resumed_run_gives_the_same_weights_bit_for_bit(tmp_path: Path) -> None:
    whole, first = _trainer(), _trainer()
    _steps(whole, 14)
    _steps(first, 6)
    first.save(tmp_path / CHECKPOINT)
    resumed = _trainer()
    resumed.resume(tmp_path / CHECKPOINT)
    assert resumed.next_step == 6
    _steps(resumed, 8)
    for name, value in whole.net.state_dict().items():
        assert torch.equal(value, resumed.net.state_dict()[name]), name
        assert torch.equal(whole.average[name], resumed.average[name]), name


def test_files_load_without_running_code_and_are_never_torn(tmp_path: Path) -> None:
    trainer = _trainer()
    train_on(trainer, trainer.training, tmp_path, TinyNet())
    assert place_of(trainer.next_step, 4, RUN.rounds) is None
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["next_step"] == 20
    TinyNet().load_state_dict(torch.load(tmp_path / PUBLISHED, weights_only=True))
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [line["step"] for line in lines] == [4, 8, 12, 16, 20]
    assert all(math.isfinite(line["loss"]) and 0 <= line["top1"] <= 100 for line in lines)
    assert {path.name for path in tmp_path.iterdir()} == {CHECKPOINT, PUBLISHED, LOG}


def test_a_loss_that_is_no_number_stops_the_run() -> None:
    trainer = _trainer()
    with torch.no_grad():
        trainer.net.get_parameter("linear.weight").fill_(torch.nan)
    with pytest.raises(RuntimeError, match="the loss is nan in step 0: lower the learning rate"):
        _steps(trainer, 1)


def test_crops_are_mirrored_and_moved_alike_for_a_seed() -> None:
    images = torch.rand(4, 3, 12, 12)
    pairs = [cropped(images, 8, torch.zeros(3), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert pairs[0].shape == (4, 3, 8, 8)
    assert torch.equal(pairs[0], pairs[1]) and not torch.equal(pairs[0], pairs[2])


def _write_cifar(folder: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    (folder / "cifar-10-batches-bin").mkdir()
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        records = torch.randint(256, (64, 3073), dtype=torch.uint8, generator=generator)
        records[:, 0] %= 10
        (folder / "cifar-10-batches-bin" / f"{name}.bin").write_bytes(records.numpy().tobytes())


@pytest.mark.slow
def test_killed_and_started_again_it_ends_where_it_would_have(tmp_path: Path) -> None:
    """A process is killed once it has a checkpoint; the next one ends with the weights of an uninterrupted one."""
    _write_cifar(tmp_path)
    script = Path(long_training.__file__)
    short = tmp_path / "short.py"
    short.write_text(
        f"import sys; sys.path.insert(0, {str(script.parent)!r})\n"
        "import long_training as lt\n"
        "lt.CHECKPOINT_STEPS = 3\n"
        "lt.CANDIDATES['resnet18'] = lt.Candidate(lambda: lt.narrowed(16), lt.UNIT_RANGE, ((16, 32),))\n"
        "lt.main()\n"
    )

    def start(folder: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(short), "--data", str(tmp_path), "--folder", str(folder)]
        return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})

    assert start(tmp_path / "whole").wait(300) == 0
    running = start(tmp_path / "killed")
    while not (tmp_path / "killed" / CHECKPOINT).exists():
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait(60)
    assert start(tmp_path / "killed").wait(300) == 0
    whole, killed = (torch.load(tmp_path / name / PUBLISHED, weights_only=True) for name in ("whole", "killed"))
    for name, value in whole.items():
        assert torch.equal(value, killed[name]), name


def test_other_nets_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--net", "resnet19", "--data", "x", "--folder", "y"])
    assert "invalid choice: 'resnet19'" in capsys.readouterr().err
