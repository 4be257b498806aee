"""report.json's ``pruning``: what became smaller, by how much, and what it did for speed."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import fx

from fxpasses.measure.latency import BenchResult
from fxpasses.measure.model_size import count_parameters
from fxpasses.measure.runners import Runner

from ..folders.artifacts import FLOAT_ONNX
from .steps import Pruned, Pruning

DENSE = "dense "
ZEROS_ARE_NOT_FASTER = (
    "zeros that are scattered, N:M or in blocks do not speed up dense CPU kernels, which multiply by them all the same"
)


@dataclass(frozen=True)
class Artifact:
    """One thing that is measured: its runner, the graph its weights and products are counted on, its file."""

    runner: Runner
    graph: fx.GraphModule
    size_bytes: int
    macs: int | None
    file: str | None


def account_of(
    pruned: Pruned,
    pruning: Pruning,
    artifacts: Sequence[Artifact],
    latencies: BenchResult | None,
    folder: Path,
    scratch: Path,
) -> dict[str, Any]:
    """report.json's ``pruning``."""
    names = [artifact.runner.name for artifact in artifacts]
    speedups = {}
    for name in names:
        if latencies is not None and DENSE + name in names:
            ratio = latencies.ratio(DENSE + name, name, **_first_condition(latencies))
            speedups[name] = {"median": ratio.median, "q25": ratio.q25, "q75": ratio.q75}
    return {
        "criterion": pruning.criterion,
        "granularity": pruning.granularity,
        "ratio": pruning.ratio,
        "budget": None if pruning.budget is None else asdict(pruning.budget),
        "scope": pruning.scope,
        "round_to": pruning.round_to,
        "keep_joined": pruning.keep_joined,
        "through_layer_norm": pruning.through_layer_norm,
        "dense": _size(artifacts[1], scratch / FLOAT_ONNX),
        "pruned": _size(artifacts[3], folder / FLOAT_ONNX),
        "speedup_vs_dense": speedups,
        "remark": None if pruning.is_structured else ZEROS_ARE_NOT_FASTER,
        **pruned.account,
    }


def _first_condition(latencies: BenchResult) -> dict[str, int]:
    return {"batch": latencies.cells[0].batch, "threads": latencies.cells[0].threads}


def _size(artifact: Artifact, path: Path) -> dict[str, Any]:
    counted = count_parameters(artifact.graph)
    return {
        "params": counted.params,
        "nonzero_params": counted.nonzero,
        "sparsity": round(1 - counted.nonzero / max(counted.params, 1), 6),
        "macs": artifact.macs,
        "size_bytes": artifact.size_bytes,
        "compressed_bytes": compressed_bytes(path),
    }


def compressed_bytes(path: Path) -> int:
    """What a zip of the file takes: zeros cost next to nothing there."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        archive.write(path, path.name)
    return buffer.getbuffer().nbytes
