"""Benchmarks of other devices are read and compared, and unfit ones are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matrix_documents import device_bench, written

from fxpasses.errors import InputError
from fxpasses.measure.matrix.imported import imported_rows, precision_of, read_device_bench
from fxpasses.measure.matrix.verdicts import BASELINE, FASTER, NO_DIFFERENCE


def test_files_of_one_device_are_compared_with_its_float_one(tmp_path: Path) -> None:
    given = (device_bench(), device_bench("model.fp32.onnx", 25.0), device_bench("model.int8.ort", cpu="another"))
    rows = imported_rows(written(tmp_path, *given))
    assert [(row.bench.file, row.verdict) for row in rows] == [
        ("model.int8.onnx", FASTER),
        ("model.fp32.onnx", BASELINE),
        ("model.int8.ort", NO_DIFFERENCE),
    ]
    ratio = rows[0].ratio
    assert ratio is not None and ratio.low is not None and ratio.high is not None
    assert 2.4 < ratio.low < ratio.median < ratio.high < 2.6
    assert rows[2].ratio is None, "there is no float file of that device"
    assert rows[0].device == "Cortex-A76 (onnxruntime 1.22.0)"


def test_runs_that_were_not_in_turns_must_differ_by_more(tmp_path: Path) -> None:
    rows = imported_rows(written(tmp_path, device_bench(ms=9.5), device_bench("model.fp32.onnx", 10.0)))
    assert rows[0].verdict == NO_DIFFERENCE


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema": "fxpasses-bench-9"}, "schema = 'fxpasses-bench-9'"),
        ({"runs": 29}, "runs = 29"),
        ({"median_ms": 11.0}, "median_ms = 11.0"),
        ({"median_ms": 0.0}, "median_ms = 0.0"),
        ({"times_ms": []}, "times_ms = []"),
        ({"times_ms": [1.0, "2"]}, "times_ms"),
        ({"times_ms": [1.0, -2.0]}, "times_ms"),
        ({"threads": 0}, "threads = 0"),
        ({"cpu": 7}, "cpu = 7"),
        ({"batch": "1"}, "batch = '1'"),
    ],
)
def test_what_is_not_one_is_refused_by_its_key(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    (path,) = written(tmp_path, device_bench(**changes))
    with pytest.raises(InputError) as caught:
        read_device_bench(path)
    assert said in caught.value.what and str(path) in caught.value.what
    assert "python run.py --bench" in caught.value.fix


@pytest.mark.parametrize("key", list(device_bench()))
def test_a_key_that_is_missing(tmp_path: Path, key: str) -> None:
    bench = device_bench()
    del bench[key]
    with pytest.raises(InputError, match=f"{key}\n  why: Field required"):
        read_device_bench(written(tmp_path, bench)[0])


@pytest.mark.parametrize("text", ["", "[]", "{", '{"times_ms": NaN}', '"a"'])
def test_files_of_something_else(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bench.json"
    path.write_text(text)
    with pytest.raises(InputError):
        read_device_bench(path)


def test_two_of_the_same(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="another file given is of the same"):
        imported_rows(written(tmp_path, device_bench(), device_bench()))


def test_precisions_are_in_names_of_files() -> None:
    assert [precision_of(name) for name in ("model.int8.ort", "image.fp32.onnx", "net.onnx")] == [
        "int8",
        "fp32",
        "other",
    ]
