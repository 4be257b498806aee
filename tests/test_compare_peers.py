"""The comparison with peers: who ran, who did not and why, and the ratios of those who did."""

from __future__ import annotations

import io
import json
from pathlib import Path

import compare_peers
import peers
import pytest
import torch
from peers import Case, Entry
from rich.console import Console
from stub_runners import StubRunner, two_class_logits

from fxpasses.export.accuracy import compare
from fxpasses.export.benchmark import BenchSettings, benchmark

QUICK = ["--models", "digits_cnn", "--calib", "8", "--runs", "2"]


def outcome(*entries: Entry) -> compare_peers.Outcome:
    runners = [entry.runner for entry in entries if entry.runner is not None]
    x = two_class_logits(1.0, -1.0)
    comparisons = compare(runners, [(x, None)])
    bench = benchmark(runners, lambda batch: x[:batch], BenchSettings(runs=2))
    return compare_peers.Outcome("net", "noise", list(entries), comparisons, bench)


def test_who_could_not_run_is_listed_with_the_reason() -> None:
    torch32, ours = compare_peers.TORCH_FP32, compare_peers.OURS_TORCH
    found = outcome(
        Entry(torch32, StubRunner(torch32, precision="fp32")),
        Entry(ours, StubRunner(ours), seconds=1.5),
        Entry("other", None, why_not="ValueError: [no] such thing"),
    )
    console = Console(file=io.StringIO(), width=120)
    compare_peers.print_outcome(found, console)
    file = console.file
    assert isinstance(file, io.StringIO)
    text = file.getvalue()
    assert "other: ValueError: [no] such thing" in text
    assert "1.5 s" in text
    assert list(found.ratios()) == ["torch: fxpasses int8 over fp32"]
    assert "torch: fxpasses int8 over fp32" in text


def test_a_net_without_its_weights_runs_on_noise(tmp_path: Path) -> None:
    model, data, is_real = compare_peers.open_case("cifar_resnet20", tmp_path)
    assert not is_real
    assert not model.pretrained
    assert data.name == "random=3x32x32"


def test_real_weights_and_images_are_used_where_they_are(data_dir: Path) -> None:
    model, data, is_real = compare_peers.open_case("torchvision/squeezenet1_1", data_dir)
    assert is_real
    assert model.pretrained
    assert data.num_classes == 1000


def test_an_unknown_net_is_an_error_of_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare_peers.main(["--models", "no_such_net"]) == 2
    assert "error: unknown model 'no_such_net'" in capsys.readouterr().err


def test_a_peer_that_is_not_installed_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    case = Case(torch.nn.Identity(), (), lambda: [], tmp_path / "x.onnx", tmp_path)
    assert peers.nncf(case) == Entry("NNCF (ort)", None, why_not='not installed (pip install "fxpasses[peers]")')


@pytest.mark.slow
def test_everyone_runs_on_a_small_net(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare_peers.main([*QUICK, "--json", str(tmp_path / "peers.json")]) == 0
    found = json.loads((tmp_path / "peers.json").read_text(encoding="utf-8"))["models"][0]
    ran = {row["name"] for row in found["rows"] if row["why_not"] is None}
    assert {name for _, *pair in compare_peers.RATIOS for name in pair} <= ran
    assert len(found["ratios"]) == len(compare_peers.RATIOS)
    assert "torch: fxpasses over torch.ao" in capsys.readouterr().out
