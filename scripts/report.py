"""Writes docs/results.md, and the few rows of the README, from the measurements of compare_peers.py.

python scripts/compare_peers.py --data-root DATA --json peers.json
python scripts/report.py peers.json [--readme README.md] [--results docs/results.md]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from fxpasses.cpu import has_vnni
from fxpasses.export.files import write_text_atomic

BEGIN, END = "<!-- results: written by scripts/report.py -->", "<!-- end of results -->"
SHOWN = {
    "fp32 (ort)": "fp32, onnxruntime",
    "quantize_static MinMax (ort)": "onnxruntime `quantize_static`, MinMax",
    "quantize_static Entropy (ort)": "onnxruntime `quantize_static`, Entropy",
    "quantize_static Percentile (ort)": "onnxruntime `quantize_static`, Percentile",
    "NNCF (ort)": "NNCF, in onnxruntime",
    "fxpasses (ort)": "**fxpasses, onnxruntime**",
    "fp32 (torch)": "fp32, PyTorch",
    "torch.ao FX x86 (torch)": "torch.ao FX, x86",
    "fxpasses (torch)": "**fxpasses, PyTorch**",
}
"""Rows of the table, in order, by the names that compare_peers.py gives them."""


def table(measured: dict[str, Any]) -> str:
    """Results as a Markdown table, with the machine they were measured on."""
    lines = ["| | agrees with fp32 | SQNR | ms | top-1 | made in | peak memory |", "|---|---|---|---|---|---|---|"]
    for model in measured["models"]:
        lines.append(f"| **{model['model'].removeprefix('torchvision/')}** | | | | | | |")
        rows = {row["name"]: row for row in model["rows"]}
        shown = [(heading, rows[name]) for name, heading in SHOWN.items() if name in rows]
        lines += [_line(heading, row) for heading, row in shown if "not installed" not in (row["why_not"] or "")]
    environment = measured["environment"]
    versions = environment["versions"]
    lines += [
        "",
        f"{measured['date']}, {_machine(environment)}, one thread, batch 1, medians of paired runs; "
        f"torch {versions['torch']}, onnxruntime {versions['onnxruntime']}. "
        f"{_peers(environment)} {_untrained(measured['models'])}"
        "Made on all cores, from the float model in memory to int8 files (ours: two); peak memory includes imports.",
    ]
    return "\n".join(lines)


SHORT_NETS = 4
FLOAT, OURS = "fp32 (ort)", "fxpasses (ort)"


def short_table(measured: dict[str, Any]) -> str:
    """A row for each of the first nets: float, the best peer by SQNR, and this package, all in onnxruntime."""
    lines = ["| onnxruntime, 1 thread | float | best peer | **fxpasses** |", "|---|---|---|---|"]
    for model in measured["models"][:SHORT_NETS]:
        rows = {row["name"]: row for row in model["rows"] if row["name"].endswith("(ort)") and not row["why_not"]}
        peers = [row for name, row in rows.items() if name not in (FLOAT, OURS)]
        best = max(peers, key=lambda row: row["sqnr_db"] or 0.0)
        name = SHOWN[best["name"]].removeprefix("onnxruntime ").removesuffix(", in onnxruntime")
        cells = [_cell(rows[FLOAT]), f"{_cell(best)} ({name})", f"**{_cell(rows[OURS])}**"]
        lines.append(f"| {model['model'].removeprefix('torchvision/')} | {' | '.join(cells)} |")
    versions = measured["environment"]["versions"]
    machine = _machine(measured["environment"])
    lines += ["", f"{measured['date']}, {machine}; torch {versions['torch']}, onnxruntime {versions['onnxruntime']}."]
    return "\n".join(lines)


def _cell(row: dict[str, Any]) -> str:
    sqnr = "" if row["name"] == FLOAT or row["sqnr_db"] is None else f"{row['sqnr_db']:.1f} dB, "
    top1 = "" if row["top1"] is None else f"{row['top1']:.1f} %, "
    return f"{sqnr}{top1}{row['latency']['p50_ms']:.3g} ms"


def _machine(environment: dict[str, Any]) -> str:
    flags = tuple(environment["flags"])
    return f"{environment['cpu']} {'with' if has_vnni(flags) else 'without'} VNNI"


def _peers(environment: dict[str, Any]) -> str:
    if has_vnni(tuple(environment["flags"])):
        return "Peers run as they come."
    return "`quantize_static` has `reduce_range`, as CPUs without VNNI need it; other peers run as they come."


def _untrained(models: list[dict[str, Any]]) -> str:
    """Sentence on nets without an accuracy, which have random weights; empty if there are none."""
    found = [m["model"].removeprefix("torchvision/") for m in models if all(r["top1"] is None for r in m["rows"])]
    return f"Random weights, of which agreement says little: {', '.join(found)}. " if found else ""


def _line(heading: str, row: dict[str, Any]) -> str:
    if row["why_not"]:
        return f"| {heading} | {row['why_not'].splitlines()[0]} | | | | | |"
    is_float = heading.startswith("fp32")
    agreement = "" if is_float or row["top1_agreement"] is None else f"{row['top1_agreement']:.1f} %"
    sqnr = "" if is_float or row["sqnr_db"] is None else f"{row['sqnr_db']:.1f} dB"
    latency = f"{row['latency']['p50_ms']:.3g}" if row["latency"] else ""
    top1 = "" if row["top1"] is None else f"{row['top1']:.1f} %"
    seconds = "" if row["quantize_s"] is None else f"{row['quantize_s']:.1f} s"
    peak = "" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 1e6:.0f} MB"
    return f"| {heading} | {agreement} | {sqnr} | {latency} | {top1} | {seconds} | {peak} |"


def with_results(page: str, text: str) -> str:
    """Replace the results in a page.

    Raises:
        SystemExit: the page has no place for them.
    """
    before, found, rest = page.partition(BEGIN)
    if not found:
        raise SystemExit(f"the page has no line {BEGIN!r}")
    _, closed, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after if closed else rest}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measured", type=Path, help="the JSON file compare_peers.py wrote")
    parser.add_argument("--readme", type=Path, default=Path("README.md"))
    parser.add_argument("--results", type=Path, default=Path("docs/results.md"))
    arguments = parser.parse_args()
    measured = json.loads(arguments.measured.read_text())
    for page, text in ((arguments.results, table(measured)), (arguments.readme, short_table(measured))):
        write_text_atomic(page, with_results(page.read_text(), text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
