"""Mutations of good files: success or an FxPassesError, nothing else, and no code that runs."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from random import Random

import pytest
import torch
from fuzz_readers import READERS
from fuzzing import Reader, fuzz, mutated_archive, seeds_for
from int8_files import inputs_of
from pt2_seeds import saved

from fxpasses.errors import FxPassesError, InputError
from fxpasses.export import load

FORBIDDEN = ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "socket.connect", "shutil.rmtree")
"""Audit events of Python that must not occur while a model is read."""


FEW = {"pt2": 40, "pt2 lowered": 40, "onnx audit": 5, "detector": 5}
SECONDS = 60
"""Time for all readers in seconds; ``scripts/fuzz.py`` takes any time."""


@pytest.mark.parametrize("name", READERS)
def test_a_few_mutations(name: str, tmp_path: Path) -> None:
    findings = fuzz(READERS[name], tmp_path, range(FEW.get(name, 20)))
    assert findings.defects == {}
    assert findings.refused > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_a_minute_over_every_reader(name: str, tmp_path: Path) -> None:
    findings = fuzz(READERS[name], tmp_path, seeds_for(SECONDS / len(READERS), first=1000))
    assert findings.defects == {}
    assert findings.mutations > 0
    print(f"{name}: {findings.taken} taken, {findings.refused} refused, slowest {findings.slowest_seconds:.1f} s")


@pytest.mark.slow
def test_three_hundred_mutations_are_called_as_well(tmp_path: Path) -> None:
    """Mutations that are accepted compute, or raise; meanwhile no process is started and nothing is written."""
    events: list[str] = []
    is_watching = True
    sys.addaudithook(lambda event, args: events.append(event) if is_watching and event in FORBIDDEN else None)
    for seed in range(5000, 5300):
        path = tmp_path / "mutated.pt2"
        path.write_bytes(mutated_archive(saved("conv_bn_relu"), Random(seed)))
        try:
            loaded = load(path)
        except FxPassesError:
            continue
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                loaded(*inputs_of("conv_bn_relu"))
            except (RuntimeError, ValueError, TypeError, IndexError):
                continue
    is_watching = False
    assert events == []
    assert [p.name for p in tmp_path.iterdir()] == ["mutated.pt2"]


def test_archives_cut_at_random_places(tmp_path: Path) -> None:
    random, content, path = Random(1), saved("conv_bn_relu"), tmp_path / "model.pt2"
    for end in (random.randrange(len(content)) for _ in range(100)):
        path.write_bytes(content[:end])
        with pytest.raises(InputError, match=r"model\.pt2"):
            load(path)


def test_the_fuzzer_bites(tmp_path: Path) -> None:
    """A reader that trusts its file is detected."""
    trusting = Reader(
        "mutated.json",
        seeds=lambda: [b'{"a": [1, 2, 3]}'],
        mutate=lambda data, random: data[: random.randrange(9)],
        read=lambda path: json.loads(path.read_text()),
    )
    findings = fuzz(trusting, tmp_path, range(10))
    assert len(findings.defects) == findings.mutations == 10
