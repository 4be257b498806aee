"""A report in the terminal, as rich tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .alerts import alerts
from .measure_text import Measure
from .numbers import (
    accuracy_of,
    bytes_text,
    condition_text,
    count_text,
    decibel_text,
    headline,
    is_float,
    kernels_text,
    parity_verdict,
    per_second_text,
    percent_text,
    ratio_text,
    three_digits,
)
from .wording import COLUMNS, agreement_text, repair_cells

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_COLOURS = {"good": "green", "fair": "yellow", "bad": "red", "none": "dim"}


def print_report(report: Mapping[str, Any], console: Console) -> None:
    """Print an overview: alerts, variants, latency, parity, and the operators that stayed float."""
    from rich.text import Text

    about = [str(report["model"])] + [f"{key} {report[key]}" for key in ("data", "target") if report[key]]
    console.print(Text(" · ".join(about), style="bold"))
    for alert in alerts(report):
        console.print(Text(f"WRONG   {alert}", style="bold red"))
    console.print(variant_table(report))
    if report.get("repairs"):
        console.print(repair_table(report["repairs"]))
    print_benchmark(report, console)
    if report.get("runtime_agreement") is None:
        print_parity(report["parity"], console)
    else:
        level, words = agreement_text(report["runtime_agreement"])
        console.print(Text.assemble(("torch and onnxruntime  ", "bold"), (words, _COLOURS[level])))
    for line in _remarks(report):
        console.print(Text(line))


def print_benchmark(report: Mapping[str, Any], console: Console) -> None:
    """Print the latency table and the level of kernels; nothing if latency was not measured."""
    if any(variant["latency"] for variant in report["variants"]):
        console.print(latency_table(report))
        print_kernels(report, console)


def print_kernels(report: Mapping[str, Any], console: Console) -> None:
    """Print one line on the level of int8 kernels and the CPU; nothing if it is not known."""
    from rich.text import Text

    if text := kernels_text(report):
        console.print(Text.assemble(("kernels  ", "bold"), text))


def print_parity(parity: Mapping[str, Any] | None, console: Console) -> None:
    """Print one line on agreement, and the first node that differs."""
    from rich.text import Text

    level, words = parity_verdict(parity)
    line = Text.assemble(("parity  ", "bold"), (words, _COLOURS[level]))
    if parity is not None:
        line.append(
            f"  ({parity['images']} images: top-1 agreement {percent_text(parity['top1_agreement'])}, "
            f"logits differ in {percent_text(100 * parity['fraction_differing'], 3)})"
        )
        if parity["first_divergence"]:
            line.append(f"\n        first node that differs: {parity['first_divergence']}")
    console.print(line)


def variant_table(report: Mapping[str, Any]) -> Table:
    """Table of the size and accuracy of every variant."""
    measure = Measure.of(report["variants"])
    table = _table("variant", "size", "params", "MACs", measure.name, "agrees with fp32", "SQNR")
    for variant in report["variants"]:
        table.add_row(
            variant["name"],
            bytes_text(variant["size_bytes"]),
            count_text(variant["params"]),
            count_text(variant["macs"]),
            measure.text(accuracy_of(variant)),
            percent_text(variant["vs_fp32"]["top1_agreement"]),
            decibel_text(variant["vs_fp32"]["sqnr_db"]),
            style="" if not is_float(variant) else "dim",
        )
    return table


def repair_table(found: Mapping[str, Any]) -> Table:
    """Table of the gain of each repair, added to those above it."""
    table = _table(*COLUMNS, first=2)
    for cells in repair_cells(found):
        table.add_row(*cells)
    return table


def latency_table(report: Mapping[str, Any]) -> Table:
    """Table of the latency of every variant at every batch size and thread count."""
    table = _table("latency in ms", "variant", "p50", "p90", "p99", "mean ± std", "throughput", "vs fp32", first=2)
    conditions = dict.fromkeys(condition_text(e) for v in report["variants"] for e in v["latency"])
    for condition in conditions:
        shown = condition
        for variant in report["variants"]:
            for entry in variant["latency"]:
                if condition_text(entry) != condition:
                    continue
                table.add_row(shown, variant["name"], *_times(entry), style="" if not is_float(variant) else "dim")
                shown = ""
        table.add_section()
    return table


def _times(entry: Mapping[str, Any]) -> list[str]:
    return [
        three_digits(entry["p50_ms"]),
        three_digits(entry["p90_ms"]),
        three_digits(entry["p99_ms"]),
        f"{three_digits(entry['mean_ms'])} ± {three_digits(entry['std_ms'])}",
        per_second_text(entry["items_per_s"]),
        ratio_text(entry["speedup_vs_fp32"]) if "speedup_vs_fp32" in entry else "",
    ]


def _table(*columns: str, first: int = 1) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i < first else "right", no_wrap=True)
    return table


def _remarks(report: Mapping[str, Any]) -> list[str]:
    lines = []
    lead = headline(report["variants"])
    if lead is not None and lead.accuracy_change is not None:
        measure = Measure.of(report["variants"])
        way = f"; {measure.direction}" if measure.direction else ""
        lines.append(f"{measure.name:<7} {measure.change_text(lead.accuracy_change)} against fp32{way}")
    floats = Counter(
        (layer["operator"], layer["why"]) for layer in report.get("layers", ()) if layer["precision"] == "float"
    )
    lines += [f"float   {count} × {operator}: {why}" for (operator, why), count in floats.most_common()]
    lines += [f"note    {warning}" for warning in report.get("warnings", ())]
    return lines
