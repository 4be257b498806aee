"""Each error's remedy is tried: a call that raises the error, and the same call with the remedy.

A new error gets its remedy tried in ``remedy_cases.py`` or a file beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from error_sites import Site, error_sites, site_at
from remedy_bench_cases import BENCH_CASES
from remedy_binary_cases import BINARY_CASES
from remedy_bundle_cases import BUNDLE_CASES
from remedy_call_cases import CALL_CASES
from remedy_capture_cases import CAPTURE_CASES
from remedy_cases import GRAPH_CASES
from remedy_command_cases import COMMAND_CASES
from remedy_cuda_cases import CUDA_CASES
from remedy_data_cases import DATA_CASES
from remedy_detection_cases import DETECTION_CASES
from remedy_document_cases import DOCUMENT_CASES
from remedy_export_cases import EXPORT_CASES
from remedy_file_cases import FILE_CASES
from remedy_image_cases import IMAGE_CASES
from remedy_integer_cases import INTEGER_CASES
from remedy_loss_cases import LOSS_CASES
from remedy_measure_cases import MEASURE_CASES
from remedy_number_cases import NUMBER_CASES
from remedy_outcome_cases import OUTCOME_CASES
from remedy_pass_cases import PASS_CASES
from remedy_place_cases import PLACE_CASES
from remedy_pruning_cases import PRUNING_CASES
from remedy_pt2_cases import PT2_CASES
from remedy_serving_cases import SERVING_CASES
from remedy_subjects import Detector, X
from remedy_training_cases import TRAINING_CASES
from remedy_user_cases import USER_CASES
from remedy_viewing_cases import VIEWING_CASES
from remedy_weight_cases import WEIGHT_CASES
from remedy_zoo_cases import HUGGING_FACE_CASES, ZOO_CASES
from repository import ROOT

import fxpasses
from fxpasses.errors import FxPassesError

CASES = GRAPH_CASES | FILE_CASES | BINARY_CASES | TRAINING_CASES | BENCH_CASES | BUNDLE_CASES | VIEWING_CASES
CASES |= LOSS_CASES
CASES |= SERVING_CASES | CUDA_CASES | CALL_CASES | DETECTION_CASES | WEIGHT_CASES | ZOO_CASES
CASES |= HUGGING_FACE_CASES | EXPORT_CASES | CAPTURE_CASES | INTEGER_CASES | OUTCOME_CASES
CASES |= PASS_CASES | PLACE_CASES | PT2_CASES
CASES |= (
    USER_CASES
    | COMMAND_CASES
    | DATA_CASES
    | IMAGE_CASES
    | DOCUMENT_CASES
    | NUMBER_CASES
    | PRUNING_CASES
    | MEASURE_CASES
)
WRITER, SUMS = "export/onnx_writer", "fxpasses/measure/torchmetrics_sums.py:"
SLOW = {
    *HUGGING_FACE_CASES,
    *(site for site in CASES if site.startswith((SUMS, "models/zoos/timm_zoo.py:"))),
    *(f"{WRITER}/{site}" for site in ("opsets.py:too_old", "write.py:_run_exporter", "large.py:not_valid")),
    *(f"{WRITER}/verify.py:{site}" for site in ("_verify_integers", "_differs#2")),
}
"""Sites whose packages take seconds to import, or whose nets take seconds to export."""


@cache
def sites() -> list[Site]:
    """All sites, read when the first test asks: every process collects this file, one runs it."""
    return error_sites()


@pytest.fixture
def made_at(monkeypatch: pytest.MonkeyPatch) -> dict[int, str | None]:
    """Places in the sources where errors were made, by the identity of the error."""
    found: dict[int, str | None] = {}
    for kind in (fxpasses.GraphError, fxpasses.InputError):
        monkeypatch.setattr(kind, "__init__", _noting(kind.__init__, found))
    return found


def _noting(make: Callable[..., None], found: dict[int, str | None]) -> Callable[..., None]:
    def noted(self: FxPassesError, *args: Any, **named: Any) -> None:
        make(self, *args, **named)
        frame: Any = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename.endswith("fxpasses/errors.py"):
            frame = frame.f_back
        found[id(self)] = site_at(sites(), Path(frame.f_code.co_filename), frame.f_lineno)

    return noted


def _made_at(error: BaseException | None, made_at: dict[int, str | None]) -> list[str | None]:
    """Places where an error and its causes were made; a pass runner tells of a cause with further words."""
    return [] if error is None else [made_at.get(id(error)), *_made_at(error.__cause__, made_at)]


NEEDED = {"models/zoos/timm_zoo.py:timm_blueprint#2": "timm"}
"""Sites that only an optional package reaches, and its name."""
LONG = SLOW | set(BUNDLE_CASES | DETECTION_CASES | CALL_CASES)
"""Cases that take seconds: slow ones, and those that need a bundle, a detector's file, or measured times."""


@pytest.mark.parametrize("site", [pytest.param(s, marks=pytest.mark.slow) if s in LONG else s for s in CASES])
@pytest.mark.filterwarnings("ignore:captured ")
def test_the_remedy_is_told_where_it_helps_and_helps(site: str, tmp_path: Path, made_at: dict[int, str | None]) -> None:
    raises, remedy, follows = CASES[site]
    if site in NEEDED:
        pytest.importorskip(NEEDED[site])
    with pytest.raises(FxPassesError) as caught:
        raises(tmp_path)
    assert site in _made_at(caught.value, made_at), str(caught.value)
    assert remedy in str(getattr(caught.value, "fix", "")), str(caught.value)
    follows(tmp_path)


def test_every_remedy_is_tried() -> None:
    assert {site.name for site in sites()} == set(CASES), "a new error: try its remedy in one of the files of cases"


def test_the_sources_are_read() -> None:
    first = sites()[0]
    assert len(sites()) > 300 and (ROOT / first.path).is_file()
    assert site_at(sites(), ROOT / first.path, first.lines[0]) == first.name
    assert site_at(sites(), ROOT / "fxpasses" / "errors.py", 1) is None


def test_a_whole_detector_is_told_to_capture_its_backbone() -> None:
    """No module could be kept whole: one contains all layers, or the forward of the model itself cannot be traced."""
    for method in ("auto", "trace", "export"):
        with pytest.raises(FxPassesError, match=r"capture the part that holds the layers, .*'backbone'") as caught:
            fxpasses.capture(Detector().eval(), X, method=method)
        assert "leaves=" not in str(caught.value)
