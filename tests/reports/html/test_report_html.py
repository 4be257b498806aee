"""report.html: one file, well formed, escaped, and complete even if the report lacks parts."""

from __future__ import annotations

import copy
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from stub_runners import sample_parity, sample_report, sample_variant

from fxpasses.reports.html.elements import SCRIPT
from fxpasses.reports.html.page import render_html, write_html

VOID = {"meta", "br", "use", "path"}
ADDED = ("created", "recipe", "qparams_sha256", "passes", "layers", "audit", "durations", "model_details")


class Balance(HTMLParser):
    """Parser that fails if an element is not closed by its own end tag, and collects links to outside."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href", "action", "srcset", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def checked(report: dict[str, Any]) -> str:
    """Return the page, after checking that it is well formed and needs no other file."""
    page = render_html(report)
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    assert all(link.startswith("#") for link in parser.links), parser.links
    outside = [url for url in re.findall(r"url\(([^)]*)\)|@import|(https?:)//(?!www\.w3\.org)", page) if any(url)]
    assert all(url[0].startswith("#") for url in outside), outside
    assert page.count("<script") == 1 and SCRIPT in page
    return page


def test_everything_is_there() -> None:
    page = checked(sample_report())
    for expected in (
        "<title>cifar_resnet20 – fxpasses report</title>",
        "torch and onnxruntime: bit for bit the same integers",
        "91.2 %",
        "−0.3 points against fp32",
        "30.5 dB",
        "1.20 MB → 300 kB",
        "4.00×",
        "1 of 2 operators run in int8, with 96.4 % of the weights.",
        "1 × layer_norm: no kernel",
        "features.0",
        "int8 throughout",
        "quantize 4.7 s",
        "a warning about something",
        "fxpasses quantize cifar_resnet20 --data cifar10=data",
        "2001-02-03T04:05:06+00:00",
    ):
        assert expected in page, expected
    assert page.count("<svg") == 3


@pytest.mark.parametrize("missing", [*ADDED, "data_details", "warnings", "command"])
def test_any_added_key_may_be_missing(missing: str) -> None:
    report = sample_report(variants=[])  # plots take long, and are made of variants alone
    del report[missing]
    assert "Environment" in checked(report)


def test_the_least_a_report_can_be() -> None:
    bare = sample_variant("torch", "int8", size_bytes=None, params=None, macs=None, latency=[])
    bare |= {"accuracy": {"top1": None, "images": 0}, "vs_fp32": {"top1_agreement": None, "sqnr_db": None}}
    report = sample_report(variants=[bare], parity=None, data=None, target=None)
    for key in (*ADDED, "data_details", "warnings", "command"):
        del report[key]
    page = checked(report)
    assert "parity not checked" in page
    assert "<svg" not in page
    assert "None" not in page
    checked(report | {"variants": []})


def test_without_labels_agreement_is_plotted() -> None:
    report = sample_report()
    for variant in report["variants"]:
        variant["accuracy"] = {"top1": None, "images": 500}
    page = checked(report)
    assert "agreement with fp32</text>" in page
    assert "top-1 accuracy" not in page


def test_differences_are_shown_where_they_are() -> None:
    parity = sample_parity(
        max_lsb=1, fraction_differing=0.0004, max_lsb_at_any_node=2, first_divergence="relu_int8 (torch)"
    )
    parity["nodes"][0] |= {"max_lsb": 2, "fraction_differing": 0.01, "differing": 1}
    page = checked(sample_report(parity=parity))
    assert "differs by 2 LSB from relu_int8 (torch) on" in page
    assert "at most 1 LSB apart, 0.040 % differ" in page
    assert "2 LSB, 1.000 %" in page
    assert "1 integer tensors: 1 differ somewhere" in page


def test_text_from_outside_is_escaped() -> None:
    report = sample_report(model="<script>alert(1)</script>", command="a && b > '\"c\"'", data="x=<b>")
    report["variants"][0]["name"] = "<i>torch</i> & co"
    report["layers"][0]["module"] = "</td><td>"
    page = checked(report)
    assert "&lt;script&gt;" in page
    assert "&lt;i&gt;torch&lt;/i&gt; &amp; co" in page


def test_the_file_of_the_whole_model_is_named_beside_those_of_its_layers() -> None:
    bare = sample_variant("torch", "int8", size_bytes=None, latency=[])
    assert "detector.int8.onnx is the whole model" in checked(
        sample_report(variants=[bare], deploy="detector.int8.onnx")
    )
    assert "is the whole model" not in checked(sample_report(variants=[bare]))


def test_the_same_report_gives_the_same_page() -> None:
    report = sample_report()
    before = copy.deepcopy(report)
    assert render_html(report) == render_html(report)
    assert report == before


def test_it_is_written(tmp_path: Path) -> None:
    report = sample_report(variants=[])
    write_html(report, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == render_html(report)


@pytest.mark.parametrize(("count", "is_closed"), [(8, False), (9, True)])
def test_many_operators_that_compute_little_are_closed_at_first(count: int, is_closed: bool) -> None:
    report = sample_report()
    light = [{"name": f"node_{n}", "op": "Reshape", "reason": "its input is float"} for n in range(count)]
    heavy = [{"name": "node_matmul", "op": "MatMul", "reason": "its input is float"}]
    report["audit"] |= {"float_light": light, "float_heavy": heavy}
    page = render_html(report)
    assert (f"<summary>{count} more in float, which compute little</summary>" in page) is is_closed
    assert page.index("node_matmul") < page.index(f"node_{count - 1}")
