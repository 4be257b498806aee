"""Each layer alone, each left in float, every tensor in place; and the document, table, plots and
page of the result.
"""

from __future__ import annotations

import io
import json
import math

import pytest
from rich.console import Console
from sensitivity_cases import TOLD, calibrated, evaluation, made_quant_document, scorer, sensitivity
from tiny_graphs import calibration_data, fused
from tiny_nets.all_nets import TINY

from fxpasses.export.torch_int8 import to_torch
from fxpasses.quantization.config import QuantConfig
from fxpasses.sensitivity.calibrated import calibrate_once
from fxpasses.sensitivity.pages.figures import as_png, as_svg
from fxpasses.sensitivity.pages.quant_document import quant_document
from fxpasses.sensitivity.pages.quant_page import quant_page
from fxpasses.sensitivity.pages.quant_plots import growth_figure, histogram_figure, noise_figure
from fxpasses.sensitivity.pages.quant_table import clipped_text, gain_text, print_quant, range_text
from fxpasses.sensitivity.quant import QuantSensitivity, quant_sensitivity


def test_every_unit_is_measured_in_order() -> None:
    assert [layer.unit for layer in sensitivity().layers] == list(calibrated().units)


def test_alone_and_kept_float_are_scores_of_those_models() -> None:
    layer = sensitivity().layers[1]
    assert layer.alone == scorer().score(calibrated().alone(layer.unit))
    assert layer.kept_float == scorer().score(to_torch(calibrated().convert(layer.unit)))


def test_shares_of_noise_are_of_the_whole_and_rank_the_layers() -> None:
    layers = sensitivity().layers
    assert sum(layer.noise_percent for layer in layers) == pytest.approx(100)
    ranked = [layer.alone.sqnr_db for layer in sensitivity().ranked]
    assert all(db is not None for db in ranked)
    assert ranked == sorted(ranked, key=lambda db: math.inf if db is None else db)


def test_in_place_noise_includes_that_of_the_layers_before() -> None:
    """A layer alone has exact inputs; in place only the first one has."""
    layers, tensors = sensitivity().layers, sensitivity().tensors["torch"]
    gaps = []
    *before, last = layers
    assert last.unit.result not in tensors, "the logits are floats, and as good as the whole is"
    for layer in before:
        own, in_place = layer.alone_at_node_db, tensors[layer.unit.result].sqnr_db
        assert own is not None and in_place is not None
        gaps.append(own - in_place)
    assert gaps[0] == pytest.approx(0, abs=1)
    assert max(gaps) > 2


def test_logits_in_place_have_the_sqnr_of_the_whole() -> None:
    """The logits are compared in place if they are integers."""
    given = calibrated(float_results=False)
    found = quant_sensitivity(given, evaluation, node_batches=99, layers=sensitivity().layers)
    whole, logits = found.int8["torch"].sqnr_db, found.tensors["torch"][given.units[-1].result].sqnr_db
    assert logits == pytest.approx(whole, abs=1e-3)
    assert found.node_images == found.float_score.images


def test_weights_are_compared_with_their_integers() -> None:
    layers = [layer for layer in sensitivity().layers if layer.unit.path]
    assert layers
    for layer in layers:
        assert layer.weight is not None and layer.weight.sqnr_db is not None
        assert layer.weight.sqnr_db > 35  # 8 bits, a scale for each channel
        assert layer.weight.low < 0 < layer.weight.high


def test_progress_names_each_layer() -> None:
    sensitivity()
    assert [what for what, _, _ in TOLD] == [unit.label for unit in calibrated().units]


def test_the_document_is_json_and_knows_every_layer_and_every_other_tensor() -> None:
    found = json.loads(json.dumps(made_quant_document(), allow_nan=False))
    assert sorted(layer["rank"] for layer in found["layers"]) == list(range(1, len(found["layers"]) + 1))
    results = {layer.unit.result for layer in sensitivity().layers}
    assert {tensor["node"] for tensor in found["tensors"]} == set(sensitivity().tensors["torch"]) - results
    *before, last = found["layers"]
    assert (last["grid"], last["histogram"], last["in_place"]) == (None, None, {})
    assert last["kept_float"]["gain_db"] > 0 < last["alone"]["at_node_sqnr_db"]
    for layer in before:
        assert layer["grid"]["low"] <= 0 <= layer["grid"]["high"]
        assert len(layer["histogram"]["edges"]) == len(layer["histogram"]["float"]) + 1
        assert layer["kept_float"]["gain_db"] == pytest.approx(
            layer["kept_float"]["sqnr_db"] - found["int8"]["torch"]["sqnr_db"]
        )


def test_the_table_begins_with_the_most_sensitive() -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    print_quant(made_quant_document(), console)
    lines = [line for line in console.export_text().splitlines() if line.strip()]
    first = next(line for line in lines if line.strip().startswith("1 "))
    assert sensitivity().ranked[0].unit.label in first


def test_without_labels_the_table_has_no_top1() -> None:
    found = json.loads(json.dumps(made_quant_document()))
    for score in (found["fp32"], *found["int8"].values()):
        score["top1"] = None
    console = Console(width=120, record=True, file=io.StringIO())
    print_quant(found, console)
    assert "top-1" not in console.export_text()


def test_plots_and_page_are_drawn_and_the_page_escapes_and_loads_nothing() -> None:
    found = made_quant_document()
    layers = found["layers"] = quant_document(sensitivity())["layers"][:3]
    assert as_png(*noise_figure(layers, 30.0)).startswith(b"\x89PNG")
    for figure in (noise_figure(layers, None), growth_figure(layers), histogram_figure(layers)):
        svg = as_svg(*figure)
        assert svg.startswith("<svg") and "#0" + "10101" not in svg
    page = quant_page(found)
    assert "net &lt;&amp;&gt;" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert page.count("<svg") == 3


def test_numbers_as_text() -> None:
    assert gain_text(1.25) == "+1.2 dB"
    assert gain_text(-0.5) == "−0.5 dB"
    assert gain_text(-0.04) == "±0.0 dB"
    assert gain_text(None) == "–"
    assert range_text({"range": {"low": -1.0, "high": 2.5}}) == "−1.00 … 2.50"
    assert range_text({"range": None}) == "–"
    assert clipped_text({"in_place": {}}) == "–"
    assert clipped_text({"in_place": {"torch": {"clipped_percent": 0.001}}}) == "< 0.01 %"


def test_nothing_measured_ranks_nothing() -> None:
    assert QuantSensitivity(scorer().float_score).ranked == []


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
def test_every_tiny_net_is_measured_and_told(name: str) -> None:
    """Nets with outputs that are no classes, with several inputs and outputs, or without int8 operators are measured,
    too.
    """
    data = calibration_data(TINY[name])
    found = quant_sensitivity(
        calibrate_once(fused(name), QuantConfig(observer="minmax"), data), lambda: [(inputs, None) for inputs in data]
    )
    document = quant_document(found)
    json.dumps(document, allow_nan=False)
    print_quant(document, Console(width=120, file=io.StringIO()))
    assert len(found.layers) == len(document["layers"])
