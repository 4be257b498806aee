"""report.json's ``pruning``: sizes and MACs before and after, and the speedups."""

from __future__ import annotations

import io
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fxpasses.measure.model_size import count_parameters

from ..folders.artifacts import FLOAT_ONNX
from ..folders.measuring import Measured
from .sides import DENSE, Side
from .steps import Pruned, Pruning

ZEROS_ARE_NOT_FASTER = (
    "zeros that are scattered, N:M or in blocks do not speed up dense CPU kernels, which multiply by them all the same"
)


def account_of(
    pruned: Pruned, pruning: Pruning, dense: Side, small: Side, speedups: dict[str, dict[str, float]]
) -> dict[str, Any]:
    """report.json's ``pruning``."""
    return {
        "criterion": pruning.criterion,
        "granularity": pruning.granularity,
        "ratio": pruning.ratio,
        "budget": None if pruning.budget is None else asdict(pruning.budget),
        "scope": pruning.scope,
        "round_to": pruning.round_to,
        "keep_joined": pruning.keep_joined,
        "through_layer_norm": pruning.through_layer_norm,
        "dense": _size(dense),
        "pruned": _size(small),
        "speedup_vs_dense": speedups,
        "remark": None if pruning.is_structured else ZEROS_ARE_NOT_FASTER,
        **pruned.account,
    }


def speedups_of(measured: Measured) -> dict[str, dict[str, float]]:
    """Speedup of each variant over the dense one of the same kind; empty if latency was not measured."""
    latencies = measured.latencies
    if latencies is None:
        return {}
    first, names = latencies.cells[0], [variant.name for variant in measured.variants]
    found = {}
    for name in names:
        if DENSE + name in names:
            ratio = latencies.ratio(DENSE + name, name, batch=first.batch, threads=first.threads)
            found[name] = {"median": ratio.median, "q25": ratio.q25, "q75": ratio.q75}
    return found


def _size(side: Side) -> dict[str, Any]:
    counted = count_parameters(side.graph)
    return {
        "params": counted.params,
        "nonzero_params": counted.nonzero,
        "sparsity": round(1 - counted.nonzero / max(counted.params, 1), 6),
        "macs": side.onnx.macs,
        "size_bytes": side.onnx.size_bytes,
        "compressed_bytes": compressed_bytes(side.folder / FLOAT_ONNX),
    }


def compressed_bytes(path: Path) -> int:
    """Size in bytes of a zip of the file: zeros take almost no space there."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        archive.write(path, path.name)
    return buffer.getbuffer().nbytes
