"""The script: its plan, its budget, what it says without a card, and one run of everything, tiny."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import bench_cuda
import pytest
import torch
from gpu import contestants, plan, products
from gpu.plan import BATCHES, FP16, INT8, NETS, Budget, Work, everything
from gpu.products import SPARSE_WAYS
from interpreted import needs_triton, why_no_interpreter

SCRIPT = Path(bench_cuda.__file__)


def test_the_plan_has_every_cell_of_every_rival_and_begins_with_what_is_claimed() -> None:
    found = everything(NETS, BATCHES, bench_cuda.EXACT_NETS)
    assert len(set(found)) == len(found) and len(bench_cuda.EXACT_NETS) == 4
    rivals = {INT8, *plan.COMPILED, *plan.EAGER, *plan.ONNXRUNTIME}
    cells = {(w.net, w.batch, w.rival) for w in found if w.kind == "row"}
    assert cells == {(net, batch, rival) for net in NETS for batch in BATCHES for rival in rivals}
    rows = [w for w in found if w.kind == "row"]
    assert [(w.net, w.batch, w.rival) for w in rows[:4]] == [
        ("resnet50", batch, rival) for batch in (64, 256) for rival in (INT8, FP16)
    ]
    assert {w.kind for w in found} == {"exact", "product", "row", "layers", "sparse"}


def test_what_does_not_fit_is_not_begun() -> None:
    now = [0.0]
    budget = Budget(30.0, lambda: now[0])
    slow, quick = Work("row", "resnet18", 1, FP16), Work("product")
    assert budget.why_not(quick) is None
    assert budget.why_not(slow) == "it is expected to take 40 s, and 30 of 30 are left"
    now[0] = 29.0
    assert budget.why_not(quick) is not None and budget.left == 1.0


def test_a_rival_that_fails_costs_its_row_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*ignored: object) -> object:
        raise RuntimeError("CUDA error")

    monkeypatch.setattr(contestants, "contestant", refuse)
    monkeypatch.setattr(bench_cuda, "_device_name", lambda device: "a card")
    given = bench_cuda.parse(["--dry-run", "--out", str(tmp_path / "out.json")])
    run = bench_cuda.Run(given, Budget(100.0))
    run.all([Work("row", "tiny", 1, INT8), Work("row", "tiny", 1, "onnxruntime TensorRT QDQ"), Work("sparse")])
    written = json.loads((tmp_path / "out.json").read_text())
    assert [entry["why"] for entry in written["failed"]] == ["RuntimeError('CUDA error')"] * 2
    (entry,) = written["sparse"]
    assert entry["dense_ms"] > 0 and not entry["measured"]
    assert [way["way"] for way in entry["sparse"]] == [*SPARSE_WAYS] and all("why_not" in w for w in entry["sparse"])


def test_without_a_card_it_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert bench_cuda.main(["--out", "never.json"]) == 2
    said = capsys.readouterr().err
    assert "device 'cuda'" in said and ("finds no NVIDIA GPU" in said or "Triton" in said)
    assert not Path("never.json").exists()


def test_sparse_results_are_compared_with_the_dense_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dense products stand in for sparse kernels."""
    right = {"right": lambda weight, a: lambda: torch._int_mm(weight, a.t().contiguous())}
    wrong = {"wrong": lambda weight, a: lambda: torch._int_mm(weight, a.t().contiguous()) + 1}
    bytes_ = {"bytes": lambda weight, a: lambda: torch._int_mm(weight, a.t().contiguous()).to(torch.int8)}
    monkeypatch.setattr(products, "SPARSE_WAYS", right | wrong | bytes_)
    (entry,) = products.sparse("cpu")
    ways: Any = entry["sparse"]
    assert [way["exact"] for way in ways] == [True, False, None] and ways[2]["gives"] == "torch.int8"


@needs_triton
@pytest.mark.slow
def test_a_dry_run_measures_everything_there_is_here(tmp_path: Path) -> None:
    if (why := why_no_interpreter()) is not None:
        pytest.skip(why)
    out = tmp_path / "dry.json"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--dry-run", "--out", str(out)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert found["exact"] == [{"net": "tiny", "tensors": 6, "differing_values": 0, "largest_difference": 0.0}]
    assert {(row["rival"], row["batch"]) for row in found["rows"]} >= {(INT8, 1), (INT8, 2)}
    assert len(found["layers"]) == 6 and sum(entry["macs"] for entry in found["layers"]) > 0
    assert found["products"] and found["sparse"] and not found["failed"]
    assert any("there is none" in entry["why"] for entry in found["skipped"])


@pytest.mark.slow
def test_what_is_prepared_is_what_is_measured(tmp_path: Path) -> None:
    import onnx
    from gpu.prepared import prepare, quantized

    paths = prepare(("tiny",), 8, tmp_path)
    endings = (".pt2", ".qdq.onnx", ".tensorrt.onnx", ".fp16.onnx")
    assert [path.name for path in paths] == [f"tiny-8{ending}" for ending in endings]
    stored, fresh = quantized("tiny", 8, tmp_path), quantized("tiny", 8, None)
    told = [
        [n.args[1:3] for n in g.graph.nodes if str(n.target).startswith("fxpasses.quantize")] for g in (stored, fresh)
    ]
    assert told[0] == told[1] != []
    model = onnx.load(paths[2])
    held = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    read = [held.get(node.input[0]) for node in model.graph.node if node.op_type == "DequantizeLinear"]
    assert onnx.TensorProto.INT32 not in read and onnx.TensorProto.INT8 in read
    zero_points = [held[node.input[2]] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert set(zero_points) == {onnx.TensorProto.INT8}
