"""Runs are read and get different names; their differences and the limits of the comparison are listed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from stub_runners import readable_report

from fxpasses.errors import InputError
from fxpasses.reports.compare.runs import MOST_RUNS, cautions, read_runs, what_differs


def written(folder: Path, **changes: Any) -> Path:
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(readable_report(**changes)))
    return folder


def test_folders_and_files_under_the_shortest_names_that_differ(tmp_path: Path) -> None:
    a, b, c = (written(tmp_path / part) for part in ("x/run", "y/run", "other"))
    assert [run.name for run in read_runs([a, b / "report.json"])] == ["x/run", "y/run"]
    assert [run.name for run in read_runs([a, c])] == ["run", "other"]


def test_one_run_given_twice_has_two_names(tmp_path: Path) -> None:
    a = written(tmp_path / "a")
    names = [run.name for run in read_runs([a, a])]
    assert len(set(names)) == 2


def test_none_too_many_and_no_report(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="are compared"):
        read_runs([])
    with pytest.raises(InputError, match=f"1 to {MOST_RUNS} are compared"):
        read_runs([tmp_path] * (MOST_RUNS + 1))
    with pytest.raises(InputError, match="make it again"):
        read_runs([tmp_path])
    assert read_runs([written(tmp_path / "a")])


def test_what_differs_and_what_does_not_compare(tmp_path: Path) -> None:
    a = written(tmp_path / "a")
    environment = readable_report()["environment"] | {"cpu": "Cortex-A72"}
    b = written(tmp_path / "b", target="arm", environment=environment)
    runs = read_runs([a, b])
    assert dict(what_differs(runs))["target"] == ["x86", "arm"]
    assert dict(what_differs(runs))["machine"][1] == "Cortex-A72"
    assert cautions(runs) == ["The runs were timed on different machines: compare each with its own fp32."]
    assert what_differs(read_runs([a, a])) == [] and cautions(read_runs([a, a])) == []


def test_other_data_do_not_compare(tmp_path: Path) -> None:
    runs = read_runs([written(tmp_path / "a"), written(tmp_path / "b", data="images=x", model="lenet")])
    assert cautions(runs) == [
        "The runs are of different models.",
        "The runs were measured on different data: their accuracies do not compare.",
    ]
