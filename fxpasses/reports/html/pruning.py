"""The section of report.html on pruning. None if the model was not pruned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..numbers import UNKNOWN, bytes_text, count_text, percent_text, ratio_text
from .elements import Markup, element, facts, folded, row, section, table

Report = Mapping[str, Any]


def pruning(report: Report) -> Markup | None:
    """Section with sizes before and after, the speedup, and a row for each layer."""
    found = report.get("pruning")
    if not found:
        return None
    remark = element("p", found["remark"], cls="note") if found.get("remark") else None
    return section("Pruning", facts(_settings(found)), _sizes(found), remark, _layers(found), _kept_whole(found))


def _settings(found: Report) -> list[tuple[str, str | None]]:
    budget, ratio = found.get("budget"), found.get("ratio")
    tuned = found.get("fine_tuning")
    how = None
    if tuned:
        extras = [word for word in ("distilled", "augmented") if tuned.get(word)]
        how = ", ".join([f"{tuned['epochs']} epochs from learning rate {tuned['learning_rate']}", *extras])
    speedups = found.get("speedup_vs_dense") or {}
    return [
        ("pruned", f"{found['granularity']} by {found['criterion']}, {found['scope']} scope"),
        ("budget", f"{budget['resource']}: {budget['share']:g} of the dense model" if budget else None),
        ("ratio", f"{ratio:g}" if ratio is not None else _found_ratio(found)),
        ("fine-tuned", how),
        ("BatchNorm statistics", _statistics(found)),
        *((f"{name} against dense", f"{ratio_text(s['median'])}") for name, s in speedups.items()),
    ]


def _found_ratio(found: Report) -> str | None:
    return f"{found['ratio_found']:g}, the least that meets the budget" if found.get("ratio_found") else None


def _statistics(found: Report) -> str | None:
    statistics = found.get("batch_norm_statistics")
    if not statistics:
        return None
    return "as they were" if not statistics["taken_again"] else f"taken again of {statistics['of']}"


def _sizes(found: Report) -> Markup:
    columns = ("", "parameters", "not zero", "sparsity", "MACs", "size", "zipped")
    rows = [
        row(
            name,
            count_text(part["params"]),
            count_text(part["nonzero_params"]),
            percent_text(100 * part["sparsity"]),
            count_text(part["macs"]),
            bytes_text(part["size_bytes"]),
            bytes_text(part["compressed_bytes"]),
        )
        for name, part in (("dense", found["dense"]), ("pruned", found["pruned"]))
    ]
    return table(columns, rows)


def _layers(found: Report) -> Markup | None:
    channels, sparsity = found.get("channels") or {}, found.get("sparsity") or {}
    if channels:
        rows = [row(path, str(c["of"]), str(c["kept"]), _share(c["kept"], c["of"])) for path, c in channels.items()]
        return folded(f"{_layers_of(rows)} lost channels", table(("layer", "channels", "kept", ""), rows))
    if sparsity:
        rows = [row(path, percent_text(100 * share)) for path, share in sparsity.items()]
        return folded(f"{_layers_of(rows)} masked", table(("layer", "zeros"), rows))
    return None


def _kept_whole(found: Report) -> Markup | None:
    kept = found.get("kept_whole") or {}
    if not kept:
        return None
    rows = [row(path, why, left=(0, 1)) for path, why in kept.items()]
    return folded(f"{_layers_of(rows)} with all channels kept", table(("layer", "because"), rows, left=(0, 1)))


def _layers_of(rows: Sequence[Markup]) -> str:
    return f"{len(rows)} layer{'' if len(rows) == 1 else 's'}"


def _share(part: int, whole: int) -> str:
    return percent_text(100 * part / whole) if whole else UNKNOWN
