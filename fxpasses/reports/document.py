"""``report.json``: model and data, artifacts, and every measured number, under keys that do not change.

    environment, model, data, target       machine, model, data, target
    variants                               one for each artifact in each runtime: size, accuracy, latency
    parity                                 agreement of the int8 artifacts, or null
    recipe, qparams_sha256, passes, layers how the int8 graph was made
    created, command, durations ...        added by the caller

Keys may be added, never renamed. A number that was not measured is null, never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from torch import fx

from fxpasses.errors import InputError
from fxpasses.export.files import write_json_atomic
from fxpasses.formats.documents import checked, read_json
from fxpasses.formats.regular_files import why_not_regular
from fxpasses.machine.environment import environment
from fxpasses.measure.accuracy import Comparison
from fxpasses.measure.latency import BenchResult
from fxpasses.measure.model_size import ParameterCount
from fxpasses.measure.runners import Runner

Report = dict[str, Any]

REPORT_VERSION = 1
TOP_KEYS = ("environment", "model", "data", "target", "variants", "parity")
ENVIRONMENT_KEYS = ("cpu", "flags", "ram", "gpu", "versions", "threads")
VARIANT_KEYS = ("name", "runtime", "precision", "size_bytes", "params", "macs", "accuracy", "vs_fp32", "latency")
LATENCY_KEYS = (
    "batch", "threads", "runs", "mean_ms", "std_ms", "p50_ms", "p90_ms", "p99_ms", "items_per_s",
)  # fmt: skip
PARITY_KEYS = (
    "images", "top1_agreement", "max_lsb", "fraction_differing", "max_lsb_at_any_node", "first_divergence",
)  # fmt: skip
RUNTIMES = ("torch", "onnxruntime")


@dataclass(frozen=True)
class Variant:
    """One artifact in one runtime, as it is stored in report.json.

    ``accuracy`` and ``vs_fp32`` always have all their keys; the value is None if it was not measured. ``file`` is the
    name of the artifact in the folder of the report, if it has one.
    """

    name: str
    runtime: str
    precision: str
    size_bytes: int | None = None
    params: int | None = None
    macs: int | None = None
    accuracy: Mapping[str, object] = field(default_factory=lambda: {"top1": None, "images": 0})
    vs_fp32: Mapping[str, object] = field(default_factory=lambda: {"top1_agreement": None, "sqnr_db": None})
    latency: Sequence[Mapping[str, object]] = ()
    nonzero_params: int | None = None
    file: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"latency": [dict(entry) for entry in self.latency]}


def variant_of(
    runner: Runner,
    *,
    size_bytes: int | None = None,
    parameters: ParameterCount | None = None,
    macs: int | None = None,
    comparison: Comparison | None = None,
    bench: BenchResult | None = None,
    file: str | None = None,
) -> Variant:
    """Make the variant of a runner from the given measurements."""
    measured: dict[str, Any] = {}
    if comparison is not None:
        measured |= {"accuracy": comparison.accuracy, "vs_fp32": comparison.vs_fp32}
    if bench is not None:
        measured["latency"] = bench.latency(runner.name)
    if parameters is not None:
        measured |= {"params": parameters.params, "nonzero_params": parameters.nonzero}
    return Variant(
        runner.name, runner.runtime, runner.precision, size_bytes=size_bytes, macs=macs, file=file, **measured
    )


def build_report(
    *,
    model: str,
    data: str | None,
    target: str | None,
    variants: Sequence[Variant],
    parity: Mapping[str, Any] | None = None,
    graph: fx.GraphModule | None = None,
    details: Mapping[str, Any] | None = None,
) -> Report:
    """Assemble report.json.

    Args:
        model, data, target: as the user spelled them.
        variants: in the order in which they are shown.
        parity: ``ParityReport.to_json()``, or None if parity was not measured.
        graph: the QUANTIZED graph, for its recipe, the log of its passes and the operators in int8.
        details: further top-level keys: ``command``, ``model_details``, ``data_details``, ``durations`` (seconds by
            step), ``audit``, ``warnings`` (sentences) and the like.
    """
    from .layers import graph_account

    report: Report = {
        "report_version": REPORT_VERSION,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "model": model,
        "data": data,
        "target": target,
        "environment": environment(),
        "variants": [variant.to_json() for variant in variants],
        "parity": None if parity is None else dict(parity),
    }
    if graph is not None:
        report |= graph_account(graph)
    added = dict(details or {})
    assert not added.keys() & report.keys(), f"details would hide {sorted(added.keys() & report.keys())}"
    return report | added


def with_variants(report: Mapping[str, Any], variants: Sequence[Variant]) -> Report:
    """Return a report with new variants; a value that was not measured again is taken from the old variant of that
    name.
    """
    merged = {variant["name"]: dict(variant) for variant in report["variants"]}
    for variant in variants:
        old = merged.get(variant.name, {})
        new = variant.to_json()
        merged[variant.name] = new | {key: old[key] for key in new if _is_unknown(new[key]) and key in old}
    return {**report, "environment": environment(), "variants": list(merged.values())}


def _is_unknown(value: object) -> bool:
    if isinstance(value, Mapping):
        return value.get("images", None) == 0 or all(v is None for v in value.values())
    return value is None or value == []


def write_report(report: Mapping[str, Any], path: str | Path) -> None:
    """Write report.json; the file is complete or not there. Raises InputError if it cannot be written."""
    problem = why_not_a_report(report)
    assert problem is None, problem
    write_json_atomic(Path(path), report)


def read_report(path: str | Path) -> Report:
    """Read report.json.

    Raises:
        InputError: there is no such file, it is not JSON, or not a report; the error names the key.
    """
    from fxpasses.formats.report import Report as Format

    path, again = Path(path), "make it again: fxpasses quantize ... --out DIR writes it"
    if why_not_regular(path) == "there is no such file":
        raise InputError(f"no file {path}", why="there is none of that name", fix=again)
    report = read_json(path, "the report", again)
    problem = why_not_a_report(report)
    if problem:
        raise InputError(f"{path} is not a report", why=problem, fix="make it again with this version")
    assert isinstance(report, dict)
    checked(Format, report, path, again)
    return report


def why_not_a_report(report: object) -> str | None:
    """Reason why a document is not a report, in words; None if it has all required keys."""
    problem = _missing("it", report, TOP_KEYS)
    if problem or not isinstance(report, Mapping):
        return problem
    parts: list[tuple[str, object, tuple[str, ...]]] = [("environment", report["environment"], ENVIRONMENT_KEYS)]
    if report["parity"] is not None:
        parts.append(("parity", report["parity"], PARITY_KEYS))
    if not isinstance(report["variants"], list):
        return "variants is no list"
    for i, variant in enumerate(report["variants"]):
        problem = _missing(f"variants[{i}]", variant, VARIANT_KEYS)
        if problem:
            return problem
        if variant["runtime"] not in RUNTIMES:
            return f"variants[{i}] has the runtime {variant['runtime']!r}"
        if not isinstance(variant["latency"], list):
            return f"variants[{i}].latency is no list"
        parts.append((f"variants[{i}].accuracy", variant["accuracy"], ("top1", "images")))
        parts.append((f"variants[{i}].vs_fp32", variant["vs_fp32"], ("top1_agreement", "sqnr_db")))
        parts += [(f"variants[{i}].latency[{j}]", entry, LATENCY_KEYS) for j, entry in enumerate(variant["latency"])]
    return next((problem for part in parts if (problem := _missing(*part))), None)


def _missing(name: str, part: object, keys: tuple[str, ...]) -> str | None:
    if not isinstance(part, Mapping):
        return f"{name} is a {type(part).__name__}, not an object"
    absent = [key for key in keys if key not in part]
    return f"{name} lacks {', '.join(absent)}" if absent else None
