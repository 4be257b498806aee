"""Contestants: each quantizes in its own process and writes files, which are opened as runners here.

Each peer is used as its own documentation says; see ``onnx_quantizers.py`` and ``torch_quantizers.py``. All get the
same float model and the same calibration batches, and all the machine's cores.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from fxpasses.errors import FxPassesError
from fxpasses.measure.runners import Runner, onnx_runner, torch_runner
from peers.case import Case
from peers.process import Made, run_in_process
from peers.torch_quantizers import OUR_ONNX, OUR_PT2, TORCH_AO_STATE, load_ours, load_torch_ao

OURS = "fxpasses"
NOTHING_MADE = Made()


@dataclass(frozen=True)
class Contestant:
    """A quantizer.

    Attributes:
        function: function that runs in its process, as ``"module:function"``.
        files: files it writes, by the name of the entry in the table.
        package: package that must be installed for it, beyond fxpasses' own dependencies.
    """

    function: str
    files: dict[str, str]
    package: str | None = None


CONTESTANTS = {
    OURS: Contestant("peers.torch_quantizers:ours", {"fxpasses (torch)": OUR_PT2, "fxpasses (ort)": OUR_ONNX}),
    "torch.ao": Contestant("peers.torch_quantizers:torch_ao", {"torch.ao FX x86 (torch)": TORCH_AO_STATE}),
    "minmax": Contestant("peers.onnx_quantizers:minmax", {"quantize_static MinMax (ort)": "minmax.onnx"}),
    "entropy": Contestant("peers.onnx_quantizers:entropy", {"quantize_static Entropy (ort)": "entropy.onnx"}),
    "percentile": Contestant(
        "peers.onnx_quantizers:percentile", {"quantize_static Percentile (ort)": "percentile.onnx"}
    ),
    "nncf": Contestant("peers.onnx_quantizers:nncf", {"NNCF (ort)": "nncf.onnx"}, "nncf"),
}


@dataclass(frozen=True)
class Entry:
    """One row of the table: a runner with its file and the cost of making it, or the reason why there is none."""

    name: str
    runner: Runner | None
    made: Made = NOTHING_MADE
    path: Path | None = None


def entries_of(key: str, case: Case, limit_seconds: float) -> list[Entry]:
    """Let one contestant quantize, and open its files."""
    contestant = CONTESTANTS[key]
    if contestant.package is not None and find_spec(contestant.package) is None:
        made = Made(why_not='not installed (pip install "fxpasses[peers]")')
    else:
        made = run_in_process(contestant.function, case.folder, limit_seconds)
    if made.why_not is not None:
        return [Entry(name, None, made) for name in contestant.files]
    return [_entry(name, case.folder / file, case, made) for name, file in contestant.files.items()]


def _entry(name: str, path: Path, case: Case, made: Made) -> Entry:
    """Open a contestant's file; one that its own runtime refuses does not end the comparison."""
    try:
        return Entry(name, open_runner(name, path, case), made, path)
    except (FxPassesError, RuntimeError, ValueError, AttributeError) as error:
        first_line = str(error).strip().partition("\n")[0]
        return Entry(name, None, replace(made, why_not=f"{path.name} cannot be opened: {first_line}"))


def open_runner(name: str, path: Path, case: Case) -> Runner:
    """Open a contestant's file as a runner."""
    if path.suffix == ".onnx":
        return onnx_runner(path, "int8", name=name)
    module = load_ours(case) if path.name == OUR_PT2 else load_torch_ao(case)
    return torch_runner(module, "int8", name=name)
