"""Graphs as text, and the golden graphs: tiny nets fused, observed and quantized, reviewed like code.

``pytest tests/test_graph_text.py --update-golden`` writes them anew.
"""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest
import torch
from tiny_graphs import capture_net, captured, fused, node_named, observed, own_copy, quantized
from tiny_nets.all_nets import TINY
from tiny_nets.convolutions import conv
from tiny_nets.net import OneInput, tiny
from tiny_nets.share import each_net
from torch import fx, nn

from fxpasses.graph.pass_runner import pass_logs
from fxpasses.graph_text import graph_text
from fxpasses.quantization.config import QuantConfig

GOLDEN = Path(__file__).parent / "golden"
NETS = {
    "conv_bn_relu": "x86",
    "conv_depthwise_bn_relu6": "x86",
    "conv_transpose2d_grouped_bn": "x86",
    "residual_padded_shortcut": "x86",
    "residual_block": "cuda",
    "shared_conv_and_bn": "x86",
    "squeeze_excite": "x86",
    "softmax": "x86",
    "embedding_linear": "x86",
    "constant_added": "x86",
    "channel_shuffle": "x86",
    "attention": "x86",
}
"""Golden nets and their targets. Ranges are minima and maxima: the result of a search may depend on the last bit."""


def story(name: str) -> str:
    """The graph in its three stages, and the log of every pass."""
    config = QuantConfig(target=NETS[name], observer="minmax")
    stages = [fused(name), observed(name, config), quantized(name, config)]
    parts = [graph_text(gm) for gm in stages]
    said = [f"{log.name}: {c.node}: {c.what}" for log in pass_logs(stages[-1]) for c in log.result.changed]
    said += [f"{log.name}: {s.node}: not, {s.text}" for log in pass_logs(stages[-1]) for s in log.result.skipped]
    return "\n".join([*parts, "LOG", *said]) + "\n"


@pytest.mark.parametrize("name", NETS)
def test_golden_graphs(name: str, update_golden: bool) -> None:
    path, found = GOLDEN / f"{name}.txt", story(name)
    if update_golden:
        path.write_text(found, encoding="utf-8")
    expected = path.read_text(encoding="utf-8")
    changes = difflib.unified_diff(expected.splitlines(), found.splitlines(), str(path), "now", lineterm="", n=1)
    assert found == expected, "\n".join([*changes, "meant? pytest tests/test_graph_text.py --update-golden"])


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(NETS)


@pytest.mark.parametrize("name", each_net(TINY))
def test_every_graph_has_a_text(name: str) -> None:
    for gm in (captured(name), fused(name), observed(name), quantized(name)):
        text = graph_text(gm)
        assert text.endswith("\n") and " at 0x" not in text
        assert text.splitlines()[0] in ("FLOAT", "OBSERVED", "QUANTIZED")
        assert text == graph_text(own_copy(gm)), "nothing in it depends on where the graph lies in memory"


def test_a_line_of_each_kind() -> None:
    gm = quantized("cat")
    lines = graph_text(gm).splitlines()
    assert lines[0] == "QUANTIZED"
    assert lines[1] == "x = input  2x5x9x7"
    assert lines[2].startswith("x_int8 = quantize(x)  2x5x9x7  uint8 0.0")
    assert "cat_1 = cat((a_int8, b_int8, x_int8)) dim=1  2x21x9x7" in lines
    assert lines[-1].startswith("return ")


def test_settings_that_say_nothing_are_left_out() -> None:
    net = tiny("uneven", lambda: OneInput(
        lambda net, x: net.last(net.first(x)[:, 1:6:2, ..., -3:]), first=conv(stride=2, padding=(1, 0)),
        last=conv(3, 3, kernel=1)))  # fmt: skip
    text = graph_text(capture_net(net))
    assert "first = conv2d(x, weight[8x5x3x3], bias[8]) stride=2 padding=(1, 0)  2x8x5x3\n" in text
    assert "slice(first, (:, 1:6:2, ...)" in text or "slice(first, (:, 1:6:2, Ellipsis, -3:))" in text
    assert "last = conv2d(getitem_1, weight[3x3x1x1], bias[3])  2x3x5x3\n" in text


def test_what_stands_outside_the_vocabulary_is_told_too() -> None:
    net = tiny("strangers", lambda: OneInput(lambda net, x: {"sorted": torch.sort(net.a(x)), "n": x.size(0)}, a=conv()))
    lines = graph_text(capture_net(net)).splitlines()
    assert any("sort(a)" in line for line in lines)
    assert any(".size(x" in line for line in lines)
    assert lines[-1].startswith("return {sorted: ")


def test_integers_that_are_read_as_integers_stand_in_brackets() -> None:
    gm = own_copy(quantized("conv_bn_relu"))
    back = node_named(gm, "input_1_float")
    back.replace_all_uses_with(back.all_input_nodes[0])
    assert "conv2d([input_1_int8], " in graph_text(gm)


def test_a_graph_nobody_captured() -> None:
    assert graph_text(fx.symbolic_trace(nn.ReLU())).splitlines()[0] == "not captured"
