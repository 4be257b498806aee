"""The sweep: every operator with every setting, as float and as int8 file, compared with its graph."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from operator_cases import Together, all_cases
from torch import nn

import fxpasses
from fxpasses.errors import FxPassesError
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.recipe import quantize_graph

CASES = all_cases()
CONFIG = QuantConfig(target="x86-avx2", narrow_ranges=False, equalization=False)
"""Settings for machines with AVX2; the target ``x86`` needs VNNI."""
REFUSED = {"lstm proj": "which no ONNX operator does"}
"""Cases without a correct ONNX form, by the start of their names, with the text of the refusal."""
TOGETHER = 12
"""Number of cases in a net: exporting takes as long for one as for all of them."""


def refusal_of(name: str) -> str | None:
    return next((words for start, words in REFUSED.items() if name.startswith(start)), None)


def _groups() -> Iterator[list[str]]:
    for dims in (1, 2, 3):
        names = [name for name, case in CASES.items() if case.dims == dims and refusal_of(name) is None]
        yield from (names[first : first + TOGETHER] for first in range(0, len(names), TOGETHER))


def _why_wrong(net: nn.Module, name: str, folder: Path) -> str | None:
    """Error of a net in verification or in a step before it; ``name`` is that of a case with its inputs."""
    case = CASES[name]
    x = case.inputs(0)
    try:
        graph = fxpasses.fuse(fxpasses.capture(net.eval(), x))
        fxpasses.export.to_onnx(graph, folder / "float.onnx")
        int8 = quantize_graph(graph, [case.inputs(1, batch=8)], CONFIG).graph
        fxpasses.export.to_onnx(int8, folder / "int8.onnx")
    except FxPassesError as error:
        return str(error)
    return None


def test_there_are_many() -> None:
    assert len(CASES) >= 300
    assert len({name.split()[0] for name in CASES}) >= 100


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("names", list(_groups()), ids=lambda names: f"{names[0]} to {names[-1]}")
def test_files_compute_what_their_graphs_do(names: list[str], tmp_path: Path) -> None:
    """Files are verified by ``to_onnx``: floats within rounding, integers within one step. If a net fails, each case is
    tested.
    """
    if _why_wrong(Together([CASES[name] for name in names]), names[0], tmp_path) is not None:
        alone = {name: _why_wrong(CASES[name].net(), name, tmp_path) for name in names}
        assert not any(alone.values()), "\n\n".join(f"{name}: {why}" for name, why in alone.items() if why)
        pytest.fail("each case is right alone, and not all of them together")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in CASES if refusal_of(name) is not None])
def test_what_has_no_right_form_is_refused_by_name(name: str, tmp_path: Path) -> None:
    why = _why_wrong(CASES[name].net(), name, tmp_path)
    assert why is not None and str(refusal_of(name)) in why and "node '" in why
