"""Prints the result of ``--method quant`` on the terminal; the most sensitive layers come first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fxpasses.reports.measure_text import Measure
from fxpasses.reports.numbers import decibel_text, percent_text, three_digits

from .quant_plots import label_of

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = 20
_LEGEND = (
    "In dB: SQNR of the logits when the layer alone is int8, SQNR of its own output, and gain of the logits when it "
    "alone is float. A layer without a range gives floats: its output is not rounded."
)
_MUCH_NOISE = 10.0


def print_quant(document: Mapping[str, Any], console: Console) -> None:
    """Print the scores of the whole model, then a table of the most sensitive layers."""
    from rich.text import Text

    measure = Measure.about(document.get("metric"))
    console.print(Text(f"float32      {reference_text(document['fp32'], measure)}", style="dim"))
    for runtime, score in document["int8"].items():
        console.print(
            Text(f"int8         {score_text(score, measure)}, SQNR {decibel_text(score['sqnr_db'])} ({runtime})")
        )
    layers = sorted(document["layers"], key=lambda layer: int(layer["rank"]))
    console.print(_table(layers[:SHOWN], measure if _accuracy(document["fp32"]) is not None else None))
    console.print(Text(_LEGEND, style="dim"))
    if len(layers) > SHOWN:
        rest = sum(layer["alone"]["noise_percent"] for layer in layers[SHOWN:])
        console.print(Text(f"and {len(layers) - SHOWN} more, with {percent_text(rest)} of the noise", style="dim"))


def _accuracy(score: Mapping[str, Any]) -> float | None:
    """Accuracy by the metric that was asked for, else top-1."""
    metric: float | None = score.get("metric")
    return metric if metric is not None else score["top1"]


def score_text(score: Mapping[str, Any], measure: Measure) -> str:
    """Text of a score: ``top-1 91.5 %, agrees with float on 99.2 % of 1000 images``."""
    value = _accuracy(score)
    top1 = "" if value is None else f"{measure.name} {measure.text(value)}, "
    agreement = score["top1_agreement"]
    agrees = "" if agreement is None else f"agrees with float on {percent_text(agreement)} of "
    return f"{top1}{agrees}{score['images']} images"


def reference_text(score: Mapping[str, Any], measure: Measure) -> str:
    """Text of the reference model's score: ``top-1 91.5 % on 1000 images``."""
    value = _accuracy(score)
    top1 = "" if value is None else f"{measure.name} {measure.text(value)} on "
    return f"{top1}{score['images']} images"


def _table(layers: list[Mapping[str, Any]], measure: Measure | None) -> Any:
    """Table of layers; ``measure`` is None if there are no labels."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    measured = [] if measure is None else [measure.name]
    columns = ["", "layer", "noise %", "alone", "at node", "kept float", "agrees %", *measured, "range", "clipped"]
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 1 else "right", no_wrap=i != 1, overflow="fold")
    for layer in layers:
        alone = layer["alone"]
        cells = [
            str(layer["rank"]),
            label_of(layer),
            bare(percent_text(alone["noise_percent"])),
            bare(decibel_text(alone["sqnr_db"])),
            bare(decibel_text(alone["at_node_sqnr_db"])),
            bare(gain_text(layer["kept_float"]["gain_db"])),
            bare(percent_text(alone["top1_agreement"])),
            *([] if measure is None else [bare(measure.change_text(alone["accuracy_change"]))]),
            range_text(layer),
            clipped_text(layer),
        ]
        table.add_row(*cells, style="red" if alone["noise_percent"] >= _MUCH_NOISE else "")
    return table


def bare(text: str) -> str:
    """A number without its unit, which is in the column's head."""
    return text.split(" ")[0]


def gain_text(gain_db: float | None) -> str:
    """Text of a gain: ``+1.2 dB``."""
    if gain_db is None:
        return "–"
    return f"{'±' if round(gain_db, 1) == 0 else '+' if gain_db > 0 else '−'}{abs(gain_db):.1f} dB"


def range_text(layer: Mapping[str, Any]) -> str:
    """Text of the calibrated range: ``−1.25 … 6.00``."""
    ends = layer["range"]
    if ends is None or ends["low"] is None:
        return "–"
    return f"{three_digits(ends['low'])} … {three_digits(ends['high'])}".replace("-", "−")


def clipped_text(layer: Mapping[str, Any]) -> str:
    """Text of the percentage of values outside the range of int8."""
    errors = list(layer["in_place"].values())
    if not errors:
        return "–"
    clipped = errors[0]["clipped_percent"]
    return "0" if clipped == 0 else "< 0.01 %" if clipped < 0.01 else f"{clipped:.2f} %"
