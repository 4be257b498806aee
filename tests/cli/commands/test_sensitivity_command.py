"""``fxpasses sensitivity`` from the command line, and the parts it shares with the searches of quantize and prune."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_runs import fxpasses, fxpasses_process, is_refused

NET = ("digits_cnn", "--data", "digits", "--threads", "1")
SCAN = ("sensitivity", *NET, "--method", "prune", "--images", "40", "--layers", "linear", "--layers", "widen")


@pytest.mark.slow
def test_prune_writes_everything_and_a_second_run_measures_nothing(tmp_path: Path) -> None:
    done = fxpasses(*SCAN, "--ratios", "0.5,0.9", "--max-drop", "5", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    names = {"sensitivity.json", "sensitivity.html", "sensitivity.png", "heatmap.png"}
    assert {file.name for file in (tmp_path / "out").iterdir()} == names
    found = json.loads((tmp_path / "out" / "sensitivity.json").read_text())
    assert [layer["module"] for layer in found["layers"]] == ["widen", "classifier"]
    assert set(found["within_budget"]["operators"]) == {"conv2d", "linear"}
    assert "of the linear layer" in done.out
    again = fxpasses(*SCAN, "--ratios", "0.5,0.9", "--max-drop", "5", "--out", tmp_path / "out", "--json", "-")
    assert again.code == 0
    assert "4 of 4 measurements are taken from" in again.err
    assert json.loads(again.out)["layers"] == found["layers"]


def test_what_was_measured_of_another_model_does_not_count(tmp_path: Path) -> None:
    assert fxpasses(*SCAN, "--ratios", "0.5", "--out", tmp_path / "out").code == 0
    done = fxpasses(*SCAN, "--ratios", "0.5", "--seed", "1", "--out", tmp_path / "out")
    assert done.code == 0
    assert "are taken from" not in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--ratios", "0.5,2"), "ratio 2.0"),
        (("--layers", "clasifier"), "did you mean 'classifier'"),
        (("--criterion", "l3"), "criterion 'l3'"),
        (("--granularity", "rows"), "granularity 'rows'"),
        (("--workers", "0"), "workers: 0"),
        (("--backend", "slurm"), "backend 'slurm'"),
    ],
)
def test_bad_input_is_told_and_leaves_nothing(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    base = SCAN[: SCAN.index("--layers")]
    done = fxpasses(*base, *arguments, "--out", tmp_path / "out")
    is_refused(done, said)
    assert not (tmp_path / "out").exists()


def test_ratios_that_are_no_numbers(tmp_path: Path) -> None:
    done = fxpasses(*SCAN, "--ratios", "half", "--out", tmp_path / "out")
    assert done.code == 2
    assert "0.1,0.5,0.9" in done.err


@pytest.mark.slow
def test_workers_measure_the_same(tmp_path: Path) -> None:
    here = fxpasses(*SCAN, "--ratios", "0.3,0.9", "--out", tmp_path / "one", "--json", "-")
    there = fxpasses_process(*SCAN, "--ratios", "0.3,0.9", "--out", tmp_path / "two", "--workers", "2", "--json", "-")
    assert there.code == 0, there.err
    assert json.loads(there.out)["layers"] == json.loads(here.out)["layers"]


@pytest.mark.slow
def test_quant_compares_both_runtimes(tmp_path: Path) -> None:
    done = fxpasses("sensitivity", *NET, "--images", "40", "--calib", "16", "--out", tmp_path / "out", "--json", "-")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert set(found["int8"]) == {"torch", "onnxruntime"}
    *before, last = found["layers"]
    assert last["in_place"] == {}, "the logits are floats"
    for layer in before:
        assert layer["in_place"]["torch"] == pytest.approx(layer["in_place"]["onnxruntime"])
    names = {"sensitivity.json", "sensitivity.html", "sensitivity.png"}
    assert {file.name for file in (tmp_path / "out").iterdir()} == names


SMALL = (*NET, "--eval", "60", "--calib", "16", "--no-bench")


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Result of a search. The weights are random: int8 changes the classes of some layers, which go back to float."""
    out = tmp_path_factory.mktemp("searched") / "out"
    done = fxpasses("quantize", *SMALL, "--max-drop", "0", "--target", "x86-avx2", "--out", out)
    assert done.code == 0, done.err
    return out


@pytest.mark.slow
def test_a_recipe_found_is_the_same_model_bit_for_bit(searched: Path, tmp_path: Path) -> None:
    assert {"recipe.toml", "search.json", "pareto.png", "model.int8.onnx"} <= {file.name for file in searched.iterdir()}
    chosen = [trial for trial in json.loads((searched / "search.json").read_text())["trials"] if trial["chosen"]]
    assert len(chosen) == 1 and chosen[0]["holds"] and chosen[0]["latency_ms"] > 0
    again = fxpasses(
        "quantize", *SMALL[:-3], "--no-bench", "--recipe", searched / "recipe.toml", "--out", tmp_path / "again"
    )
    assert again.code == 0, again.err
    first, second = (json.loads((folder / "report.json").read_text()) for folder in (searched, tmp_path / "again"))
    assert first["qparams_sha256"] == second["qparams_sha256"]
    assert "other integers" not in again.err
    resumed = fxpasses("quantize", *SMALL, "--max-drop", "0", "--target", "x86-avx2", "--out", searched)
    assert "measurements are taken from" in resumed.err


@pytest.mark.slow
def test_a_recipe_for_other_weights_says_so(searched: Path, tmp_path: Path) -> None:
    recipe = searched / "recipe.toml"
    done = fxpasses("quantize", *SMALL, "--seed", "3", "--recipe", recipe, "--out", tmp_path / "other")
    assert done.code == 0, done.err
    assert "the recipe gave other integers where it was written" in done.err


def test_a_recipe_leaves_no_room_for_other_settings(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text("")
    done = fxpasses(
        *("quantize", *SMALL, "--recipe", tmp_path / "r.toml", "--observer", "minmax", "--max-drop", "1"),
        *("--out", tmp_path / "out"),
    )
    is_refused(done, "--recipe with --observer and --max-drop")


@pytest.mark.slow
def test_prune_within_a_budget_keeps_it(tmp_path: Path) -> None:
    done = fxpasses(
        *("prune", *NET, "--granularity", "weight", "--layers", "linear", "--max-drop", "5", "--eval", "60"),
        *("--no-bench", "--out", tmp_path / "out", "--json", "-"),
    )
    assert done.code == 0, done.err
    found = json.loads((tmp_path / "out" / "ratio_search.json").read_text())
    variants = {variant["name"]: variant["accuracy"]["top1"] for variant in json.loads(done.out)["variants"]}
    assert variants["dense torch fp32"] - variants["torch fp32"] == pytest.approx(found["drop"], abs=1e-6)
    assert found["drop"] <= 5.0
    assert "evaluations" in done.err


def test_a_ratio_is_given_or_searched_for(tmp_path: Path) -> None:
    done = fxpasses("prune", *NET, "--ratio", "0.3", "--max-drop", "1", "--out", tmp_path / "out")
    is_refused(done, "--max-drop with --ratio")
