from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bench_calibration as bench
import pytest
import torch

from fxpasses.quantization.int8.observe import find_observers

DIGITS = ["--model", "digits_cnn", "--data", "digits", "--images", "8", "16", "--batch", "4", "--rounds", "1"]


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.slow  # imports torch.ao
@pytest.mark.filterwarnings("ignore")  # torch.ao announces its own deletion
def test_both_watch_the_same_tensors() -> None:
    graph, data = bench.observed_graph(bench.parse(DIGITS), bench.OURS)
    batches = list(data.calibration(8, 4))
    seen = {}
    for who in (bench.OURS, bench.THEIRS):
        copy = bench.with_observers_of(who, graph)
        assert bench.calibration_seconds(who, copy, batches) > 0
        watched: list[Any] = [copy.get_submodule(str(node.target)) for node in find_observers(copy).values()]
        assert all((bench.OURS if type(w).__module__.startswith("fxpasses") else bench.THEIRS) == who for w in watched)
        ends = [w.extremes if who == bench.OURS else (w.min_val.item(), w.max_val.item()) for w in watched]
        seen[who] = torch.tensor(ends)
    assert torch.allclose(seen[bench.OURS], seen[bench.THEIRS], rtol=1e-5, atol=1e-6)  # batches may be split otherwise


@pytest.mark.slow  # five processes
def test_it_prints_times_and_memory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main([*DIGITS, "--json", str(tmp_path / "numbers.json")]) == 0
    printed = capsys.readouterr().out
    assert "fxpasses is" in printed and "at 16 images" in printed
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert [m["images"] for m in numbers["memory"][bench.OURS]] == [8, 16]
    assert all(m["peak_mb"] >= m["before_mb"] > 50 for who in numbers["memory"].values() for m in who)
    assert all(len(taken) == 1 and taken[0] > 0 for taken in numbers["seconds"].values())


def test_the_summary_compares_round_by_round() -> None:
    memory = [{"images": 64, "before_mb": 500.0, "peak_mb": 610.4}]
    lines = bench.summary(
        {bench.OURS: [2.0, 4.0], bench.THEIRS: [8.0, 10.0]}, dict.fromkeys(("fxpasses", "torch.ao"), memory), 64
    )
    assert "2.0 (best of 2)" in lines[1] and "32.0" in lines[1] and "610 at 64 images (500 before)" in lines[1]
    assert lines[-1] == "fxpasses is 2.5 to 4.0 times as fast, round by round"


def test_the_peak_is_this_process_own() -> None:
    before = bench.peak_memory_mb()
    block = torch.ones(40, 2**18)  # 40 MB, written to
    assert bench.peak_memory_mb() >= before
    assert block.numel() and bench.peak_memory_mb() > 50
