"""The comparison with peers: contestants that ran, reasons for the others, and ratios."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import compare_peers
import pytest
from peers.contestants import CONTESTANTS, Entry
from peers.process import Made
from rich.console import Console
from stub_runners import StubRunner, two_class_logits
from torch import Tensor

from fxpasses.measure.accuracy import compare
from fxpasses.measure.benchmark import BenchSettings, benchmark

QUICK = ["--models", "digits_cnn", "--calib", "8", "--runs", "2", "--peers"]


def outcome(*entries: Entry) -> compare_peers.Outcome:
    runners = [entry.runner for entry in entries if entry.runner is not None]
    x = two_class_logits(1.0, -1.0)
    comparisons = compare(runners, [(x, None)])
    bench = benchmark(runners, lambda batch: x[:batch], BenchSettings(runs=2))
    return compare_peers.Outcome("net", "noise", list(entries), comparisons, bench)


def printed(found: compare_peers.Outcome) -> str:
    file = io.StringIO()
    compare_peers.print_outcome(found, Console(file=file, width=160))
    return file.getvalue()


def test_who_could_not_run_is_listed_with_the_reason() -> None:
    torch32, ours = compare_peers.TORCH_FP32, compare_peers.OURS_TORCH
    found = outcome(
        Entry(torch32, StubRunner(torch32, precision="fp32")),
        Entry(ours, StubRunner(ours), Made(1.5, 900_000_000, 200_000_000)),
        Entry("other", None, Made(why_not="ValueError: [no] such thing")),
    )
    text = printed(found)
    assert "other: ValueError: [no] such thing" in text
    assert all(shown in text for shown in ("1.5 s", "900 MB", "200 MB"))
    assert list(found.ratios()) == ["torch: fxpasses int8 over fp32"]
    assert "torch: fxpasses int8 over fp32" in text
    assert [row["peak_bytes"] for row in found.rows()] == [None, 900_000_000, None]


def test_ours_is_held_against_the_fastest_peer() -> None:
    def in_onnxruntime(name: str, precision: str, milliseconds: int) -> Entry:
        def wait(x: Tensor) -> Tensor:
            time.sleep(milliseconds / 1000)
            return x

        return Entry(name, StubRunner(name, wait, precision, "onnxruntime"))

    found = outcome(
        in_onnxruntime(compare_peers.ORT_FP32, "fp32", 4),
        in_onnxruntime(compare_peers.OURS_ORT, "int8", 1),
        in_onnxruntime("slow peer", "int8", 16),
        in_onnxruntime("fast peer", "int8", 4),
        Entry("fastest of all", StubRunner("fastest of all")),  # in torch
    )
    assert found.fastest_peer() == "fast peer"
    assert f"{compare_peers.FASTEST_PEER}, fast peer" in found.ratios()
    assert found.ratios()[f"{compare_peers.FASTEST_PEER}, fast peer"][0] > 1


def test_a_net_without_its_weights_runs_on_noise(tmp_path: Path) -> None:
    model, data, weights = compare_peers.open_case("cifar_resnet20", tmp_path)
    assert weights is None
    assert not model.pretrained
    assert data.name == "random=3x32x32"


def test_real_weights_and_images_are_used_where_they_are(data_dir: Path) -> None:
    model, data, weights = compare_peers.open_case("torchvision/squeezenet1_1", data_dir)
    assert weights == data_dir / "models" / "imagenet_squeezenet1_1.pt"
    assert model.pretrained
    assert data.num_classes == 1000


def test_an_unknown_net_is_an_error_of_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare_peers.main(["--models", "no_such_net"]) == 2
    assert "error: unknown model 'no_such_net'" in capsys.readouterr().err


def test_all_models_and_a_choice_of_peers() -> None:
    chosen = compare_peers.parse(["--models", "all", "--peers", "fxpasses", "nncf"])
    assert chosen.models == compare_peers.ALL_MODELS
    assert len(set(chosen.models)) == 11
    assert chosen.peers == ["fxpasses", "nncf"]


@pytest.mark.slow
def test_everyone_runs_on_a_small_net(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everyone = [key for key in CONTESTANTS if key != "nncf"]  # which is not installed everywhere
    assert compare_peers.main([*QUICK, *everyone, "--json", str(tmp_path / "peers.json")]) == 0
    found = json.loads((tmp_path / "peers.json").read_text(encoding="utf-8"))["models"][0]
    ran = {row["name"] for row in found["rows"] if row["why_not"] is None}
    assert {name for _, *pair in compare_peers.RATIOS for name in pair} <= ran
    assert len(found["ratios"]) == len(compare_peers.RATIOS) + 1
    made = [row for row in found["rows"] if not row["name"].startswith("fp32")]
    assert all(row["quantize_s"] > 0 and row["peak_bytes"] >= row["added_bytes"] > 0 for row in made)
    assert all(row["size_bytes"] > 0 and row["sqnr_db"] > 15 for row in made)
    assert "torch: fxpasses over torch.ao" in capsys.readouterr().out


@pytest.mark.slow
def test_a_contestant_whose_time_is_up_does_not_end_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare_peers.main([*QUICK, "minmax", "--limit", "0.01"]) == 0
    assert "quantize_static MinMax (ort): not done after 0 s" in capsys.readouterr().out
