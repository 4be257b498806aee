"""Prints the result of ``--method prune`` on the terminal; the layers that lose most come first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fxpasses.reports.measure_text import Measure
from fxpasses.reports.numbers import count_text, percent_text

from .quant_table import reference_text

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = 40
_MUCH, _SOME = 10.0, 2.0


def print_prune(document: Mapping[str, Any], console: Console) -> None:
    """Print the score of the dense model, then the points lost by layer and ratio."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    measure = Measure.about(document.get("metric"))
    console.print(Text(f"dense    {reference_text(document['fp32'], measure)}", style="dim"))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    ratios = _shown(document["ratios"])
    for i, column in enumerate(("", "layer", "params", "%", "MACs %", *(f"{100 * r:g} %" for r in ratios))):
        table.add_column(column, justify="left" if i == 1 else "right", no_wrap=i != 1, overflow="fold")
    layers = sorted(document["layers"], key=lambda layer: int(layer["rank"]))
    for layer in layers[:SHOWN]:
        drops = {score["ratio"]: score["drop"] for score in layer["scores"]}
        table.add_row(
            str(layer["rank"]),
            layer["module"],
            count_text(layer["params"]).strip(),
            percent_text(layer["params_percent"]).split(" ")[0],
            percent_text(layer["macs_percent"]).split(" ")[0],
            *(Text(lost_text(drops[ratio], measure), style=_style(drops[ratio])) for ratio in ratios),
        )
    console.print(table)
    points = "Points of " if measure.unit == "%" else ""
    lost = f"{points}{_measured_by(document, measure)}"
    text = f"{lost} lost when the layer alone is pruned ({document['granularity']}, {document['criterion']})."
    console.print(Text(text, style="dim"))
    for line in budget_lines(document, measure):
        console.print(Text(line))
    if len(layers) > SHOWN:
        console.print(Text(f"and {len(layers) - SHOWN} more layers, which lose less", style="dim"))


def _measured_by(document: Mapping[str, Any], measure: Measure) -> str:
    measured = document["fp32"].get("metric") is not None or document["fp32"]["top1"] is not None
    return measure.name if measured else "agreement with the dense model"


def lost_text(drop: float, measure: Measure) -> str:
    """Text of a drop: in points as :func:`drop_text`, in another unit with three digits."""
    return drop_text(drop) if measure.unit == "%" else f"{drop:.3g}".replace("-", "−")


def budget_lines(document: Mapping[str, Any], measure: Measure | None = None) -> list[str]:
    """Lines on the largest ratios within the budget: one ratio for each operator, and the ratios of the whole net."""
    found = document.get("within_budget")
    if found is None:
        return []
    measure = measure or Measure()
    unit = "points" if measure.unit == "%" else measure.unit or measure.title
    lines = [f"largest ratios that lose at most {found['max_drop']:g} {unit}:"]
    for operator, search in found["operators"].items():
        count = len(search["layers"])
        layers = f"all {count} {operator} layers" if count > 1 else f"the {operator} layer"
        lines.append(f"  {ratio_text(search['ratio'])} of {layers}, {search_text(search, measure)}")
    net, params = found["net"], {layer["module"]: layer["params"] for layer in document["layers"]}
    share = sum(params[path] * ratio for path, ratio in net["ratios"].items()) / max(sum(params.values()), 1)
    whole = "the net" if sum(params.values()) == document["params"] else "these layers together"
    lines.append(f"  {ratio_text(share)} of {whole}, each layer as its own curve allows, {search_text(net, measure)}")
    return lines


def ratio_text(ratio: float) -> str:
    return f"{100 * ratio:.1f} %"


def search_text(search: Mapping[str, Any], measure: Measure | None = None) -> str:
    """``1.8 points lost, 7 evaluations``; adds a note if accuracy does not fall steadily."""
    measure = measure or Measure()
    unit = "points" if measure.unit == "%" else measure.unit or measure.title
    drop = f"{lost_text(search['drop'], measure)} {unit}"
    uneven = "" if search["is_monotone"] else "; accuracy does not fall steadily: larger ratios may hold, too"
    return f"{drop} lost, {search['evaluations']} evaluations{uneven}"


def drop_text(drop: float) -> str:
    """Text of a drop in points: ``12.3``; ``0`` for no change; ``−0.2`` if accuracy rose."""
    return "0" if round(drop, 1) == 0 else f"{drop:.1f}".replace("-", "−")


def _style(drop: float) -> str:
    return "red" if drop >= _MUCH else "yellow" if drop >= _SOME else ""


def _shown(ratios: Sequence[float], most: int = 9) -> list[float]:
    step = -(-len(ratios) // most)
    return [ratio for i, ratio in enumerate(reversed(ratios)) if i % step == 0][::-1]
