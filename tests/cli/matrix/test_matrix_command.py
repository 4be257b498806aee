"""``fxpasses bench --matrix`` on a folder of a small net: files, other devices, another run, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_runs import fxpasses, quickstart, tree
from matrix_documents import device_bench, written

from fxpasses.errors import InputError
from fxpasses.measure.matrix.document import read_matrix

FAST = ("--matrix", "--precision", "fp32,int8", "--runs", "5", "--max-seconds", "0.1")


@pytest.mark.slow
def test_a_folder_is_measured_twice(tmp_path: Path) -> None:
    folder, _ = quickstart()
    (device,), out = written(tmp_path, device_bench()), tmp_path / "first"
    done = fxpasses("bench", folder, *FAST, "--import", device, "--out", out, "--batch", "2")
    assert done.code == 0, done.err
    assert set(tree(out)) == {"matrix.json", "matrix.md", "matrix.csv", "matrix.html"}
    document = read_matrix(out / "matrix.json")
    names = [f"dense {runtime} {precision}" for precision in ("fp32", "int8") for runtime in ("torch", "onnxruntime")]
    assert [(row["name"], row["batch"], row["threads"]) for row in document["rows"]] == [
        *((name, 2, 1) for name in names),
        ("model.int8.onnx", 1, 1),
    ]
    assert all(
        row["interval"] is not None for row in document["rows"] if row["verdict"] != "baseline" and row["paired"]
    )
    assert "Cortex-A76" in done.out and "dense onnxruntime fp32" in done.out
    matrix = json.loads((out / "matrix.json").read_text())
    for row in matrix["rows"]:
        if row["name"] == "dense torch int8":
            row["verdict"] = {"faster": "slower", "slower": "faster"}.get(row["verdict"], row["verdict"])
    (tmp_path / "reversed.json").write_text(json.dumps(matrix))
    torch = ("--runtime", "torch", "--baseline", "dense torch int8", "--compare-with", tmp_path / "reversed.json")
    again = fxpasses("bench", folder, *FAST, *torch, "--out", tmp_path / "second", "--json", "-")
    assert again.code in (0, 1), again.err
    found = json.loads(again.out)
    assert found["baseline"] == "dense torch int8"
    assert [row["verdict"] for row in found["rows"]][1] == "baseline"


@pytest.mark.slow
def test_half_precision_is_made_for_the_occasion_and_pruned_beside_dense(tmp_path: Path) -> None:
    pruned = tmp_path / "pruned"
    small = ("--data", "digits", "--ratio", "0.3", "--calib", "16", "--eval", "40", "--no-bench", "--threads", "1")
    made = fxpasses("prune", "digits_cnn", *small, "--out", pruned)
    assert made.code == 0, made.err
    folder, _ = quickstart()
    options = (
        "--matrix",
        "--precision",
        "fp16,bf16,int8",
        "--runtime",
        "onnxruntime",
        "--runs",
        "5",
        "--max-seconds",
        "0",
    )
    done = fxpasses("bench", folder, *options, "--pruned", pruned, "--out", tmp_path / "out", "--json", "-")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    names = [row["name"] for row in found["rows"]]
    expected = ["dense onnxruntime fp16", "dense onnxruntime bf16", "dense onnxruntime int8"]
    assert names == [*expected, "pruned onnxruntime fp16", "pruned onnxruntime bf16"]
    assert any("pruned onnxruntime int8 is left out" in note for note in found["notes"])
    wrong = fxpasses("bench", pruned, "--matrix", "--pruned", folder)
    assert wrong.code == 2 and "of a pruned model itself" in wrong.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--pruned", "x"), "--pruned without --matrix"),
        (("--precision", "int8"), "--precision without --matrix"),
        (("--matrix", "--precision", "int9"), "--precision int9"),
        (("--matrix", "--runtime", "tflite"), "--runtime tflite"),
        (("--matrix", "--import", "absent.json"), "cannot read the benchmark absent.json"),
        (("--matrix", "--compare-with", "absent.json"), "cannot read the matrix absent.json"),
    ],
)
def test_options_that_make_no_sense(arguments: tuple[str, ...], said: str) -> None:
    folder, _ = quickstart()
    done = fxpasses("bench", folder, *arguments)
    assert done.code == 2 and said in done.err and done.err.count("error: ") == 1
    assert "fix: " in done.err and not (folder / "matrix.json").exists()


def test_a_folder_that_is_no_pruned_one_and_a_baseline_that_is_not_there() -> None:
    folder, _ = quickstart()
    same = fxpasses("bench", folder, "--matrix", "--pruned", folder)
    assert same.code == 2 and "of no pruned model" in same.err
    other = fxpasses("bench", folder, *FAST, "--baseline", "dense torch int4")
    assert other.code == 2 and "baseline 'dense torch int4'" in other.err and "dense torch int8" in other.err


def test_input_errors_are_ours() -> None:
    from fxpasses.cli.options.bench import names_of

    assert names_of("int8, fp32,int8", "--precision", ("fp32", "int8")) == ("int8", "fp32")
    with pytest.raises(InputError, match="--precision int4"):
        names_of("int4", "--precision", ("fp32", "int8"))
