"""Sections of report.html on measurements: size, accuracy, latency, parity. A section is None without measurements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..measure_text import Measure
from ..numbers import (
    UNKNOWN,
    accuracy_of,
    bytes_text,
    condition_text,
    count_text,
    decibel_text,
    is_float,
    parity_verdict,
    per_second_text,
    percent_text,
    ratio_text,
    three_digits,
)
from .elements import Markup, element, facts, folded, joined, row, section, table
from .plots import latency_plot, size_plot
from .tradeoff_plot import points_of, tradeoff_plot

Report = Mapping[str, Any]


def size_and_accuracy(report: Report) -> Markup | None:
    """Section on size and accuracy, with plot and table of all variants."""
    variants = report["variants"]
    if not variants:
        return None
    measure = Measure.of(variants)
    columns = ("variant", "file", "size", "parameters", "MACs", measure.name, "images", "agrees with fp32", "SQNR")
    rows = [
        row(
            _named(v),
            v.get("file") or UNKNOWN,
            bytes_text(v["size_bytes"]),
            count_text(v["params"]),
            count_text(v["macs"]),
            measure.text(accuracy_of(v)),
            str(v["accuracy"]["images"] or UNKNOWN),
            percent_text(v["vs_fp32"]["top1_agreement"]),
            _sqnr(v),
            left=(0, 1),
            cls="float32" if is_float(v) else "",
        )
        for v in variants
    ]
    whole = f"{report['deploy']} is the whole model, these files are its layers. " if report.get("deploy") else ""
    note = (
        f"{whole}SQNR is 10·log10 of the energy of the fp32 logits over that of their difference. MACs: "
        "multiply-accumulates for one item. Sizes are decimal: 1 MB is 1 000 000 bytes."
    )
    return section("Size and accuracy", _plot(size_plot(variants)), table(columns, rows, left=(0, 1)), _note(note))


def tradeoff(report: Report) -> Markup | None:
    """Plot of accuracy over latency, with dots as large as the files; None if one of them was not measured."""
    measure = Measure.of(report["variants"])
    svg = tradeoff_plot(points_of(report["variants"]), measure)
    if svg is None:
        return None
    better = "Down" if measure.falls else "Up"
    note = f"{better} and to the left is better; the area of a dot is the size of the file. Hollow dots are float."
    return section("Accuracy, latency, size", _plot(svg), _note(note))


def _sqnr(variant: Report) -> str:
    """SQNR as text; the word 'reference' for the variant that the others are compared with."""
    found = variant["vs_fp32"]
    is_reference = is_float(variant) and found["sqnr_db"] is None and found["top1_agreement"] is not None
    return "reference" if is_reference else decibel_text(found["sqnr_db"])


def latency(report: Report) -> Markup | None:
    """Section on latency, with plot and table."""
    plot = latency_plot(report["variants"])
    if plot is None:
        return None
    conditions = dict.fromkeys(condition_text(e) for v in report["variants"] for e in v["latency"])
    rows: list[Markup] = []
    columns = ("", "p50 ms", "p90 ms", "p99 ms", "mean ± std", "throughput", "runs", "against fp32")
    for condition in conditions:
        rows.append(element("tr", element("td", condition, colspan=str(len(columns))), cls="group"))
        for variant in report["variants"]:
            rows += [_latency_row(variant, e) for e in variant["latency"] if condition_text(e) == condition]
    note = (
        "● median, thick line to p90, thin line to p99. "
        "Variants take turns in short blocks, so that the machine's drift hits all alike. “Against fp32” is the median "
        "over rounds of the paired ratio to fp32 in the same runtime, with its quartiles: it is steadier than the "
        "quotient of two columns."
    )
    return section("Latency", _plot(plot), table(columns, rows), _note(note))


def _latency_row(variant: Report, entry: Report) -> Markup:
    ratio = ""
    if "speedup_vs_fp32" in entry:
        low, high = entry["speedup_quartiles"]
        ratio = joined((element("span", ratio_text(entry["speedup_vs_fp32"]), cls="best"), f" ({low:.2f}–{high:.2f})"))
    return row(
        _named(variant),
        element("span", three_digits(entry["p50_ms"]), cls="best"),
        three_digits(entry["p90_ms"]),
        three_digits(entry["p99_ms"]),
        f"{three_digits(entry['mean_ms'])} ± {three_digits(entry['std_ms'])}",
        per_second_text(entry["items_per_s"]),
        str(entry["runs"]),
        ratio,
        cls="float32" if is_float(variant) else "",
    )


def parity(report: Report) -> Markup | None:
    """Section on the agreement of torch and onnxruntime, at the logits and at every integer tensor."""
    found = report["parity"]
    if found is None:
        return None
    level, words = parity_verdict(found)
    entries = [
        ("verdict", element("span", words, cls=f"chip {level}")),
        ("images", str(found["images"])),
        ("top-1 agreement", percent_text(found["top1_agreement"])),
        ("logits", _difference(found)),
        ("worst tensor, given equal inputs", f"{found['max_lsb_at_any_node']} LSB"),
        ("first divergence", found["first_divergence"] or "none"),
    ]
    for runtime, agreement in (found.get("against_reference") or {}).items():
        entries.append((f"{runtime} against exact integers", _difference(agreement)))
    note = (
        "LSB: a step of the tensor's own scale. At each tensor, exact integer arithmetic is fed with what the runtime "
        "itself had one operator earlier, so a difference belongs to that operator."
    )
    names = {layer["node"]: layer["module"] or "" for layer in report.get("layers") or ()}
    nodes = _parity_nodes(found.get("nodes") or [], names)
    return section("Parity of torch and onnxruntime", facts(entries), nodes, _note(note))


def _difference(found: Report) -> str:
    if not found["max_lsb"]:
        return "bit for bit equal"
    return f"at most {found['max_lsb']} LSB apart, {percent_text(100 * found['fraction_differing'], 3)} differ"


def _parity_nodes(nodes: list[Report], layer_names: Mapping[str, str]) -> Markup | None:
    if not nodes:
        return None
    runtimes = list(dict.fromkeys(n["runtime"] for n in nodes))
    by_node: dict[str, dict[str, Report]] = {}
    for n in nodes:
        by_node.setdefault(n["node"], {})[n["runtime"]] = n
    rows = [
        row(name, layer_names.get(name, ""), *(_lsb_cell(cells.get(runtime)) for runtime in runtimes), left=(0, 1))
        for name, cells in by_node.items()
    ]
    differing = sum(any(n["max_lsb"] for n in cells.values()) for cells in by_node.values())
    what = f"{len(by_node)} integer tensors: " + (f"{differing} differ somewhere" if differing else "all equal")
    return folded(what, table(("tensor", "computed by", *runtimes), rows, left=(0, 1)))


def _lsb_cell(found: Report | None) -> str:
    if found is None:
        return UNKNOWN
    if not found["max_lsb"]:
        return element("span", "equal", cls="chip good")
    share = percent_text(100 * found["fraction_differing"], 3)
    return element("span", f"{found['max_lsb']} LSB, {share}", cls=f"chip {'fair' if found['max_lsb'] == 1 else 'bad'}")


def _named(variant: Report) -> Markup:
    kind = f"dot {variant['runtime']}" + (" hollow" if is_float(variant) else "")
    return joined((element("span", cls=kind), variant["name"]))


def _plot(svg: str | None) -> Markup | None:
    return element("div", Markup(svg), cls="scroll") if svg else None


def _note(words: str) -> Markup:
    return element("p", words, cls="note")
