"""Netron in a real browser: it asks for consent once, draws the graph, and shows the notes of our files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import PHONE, WIDE, chromium, complaints, resize, until
from tiny_graphs import fused, quantized

from fxpasses.export import save, to_onnx
from fxpasses.reports.compare.side_by_side import view_both
from fxpasses.reports.view import view

pytestmark = pytest.mark.slow

_NODES = "return [...document.querySelectorAll('g.graph-node')].map(n => n.id).filter(Boolean)"
_ACCEPT = """
const button = document.querySelector('#message-button');
if (!button || button.textContent.trim() !== 'Accept' || !button.offsetParent) return false;
button.click();
return true;
"""
_DRAWN = "return document.body.classList.contains('default') && document.querySelectorAll('g.graph-node').length"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    to_onnx(fused("residual_block"), folder / "model.fp32.onnx", verify=False)
    to_onnx(quantized("residual_block"), folder / "model.int8.onnx", verify=False)
    save(quantized("residual_block"), folder / "model.int8.pt2")
    return folder


def open_netron(browser: Any, url: str) -> None:
    """Open a page of Netron, and answer its question about cookies, which only a new profile gets."""
    browser.get(url)
    until(browser, f"{_DRAWN} || document.querySelector('#message-button').textContent.trim() === 'Accept'")
    if not browser.execute_script(_DRAWN):
        assert browser.execute_script(_ACCEPT)
    until(browser, _DRAWN)


def click_on(browser: Any, node: str) -> str:
    """The panel's text after a click on a node's title."""
    from selenium.webdriver.common.action_chains import ActionChains

    title = browser.execute_script(
        "return document.getElementById(arguments[0]).querySelector('.node-item-type')", f"node-name-{node}"
    )
    ActionChains(browser).move_to_element(title).click().perform()
    found: str = until(
        browser,
        "const s = document.querySelector('.sidebar-content, #sidebar-content'); "
        "return s && s.innerText.includes('METADATA') ? s.innerText : ''",
    )
    return found


@pytest.mark.parametrize("size", [WIDE, PHONE])
def test_the_float_graph_is_drawn(browser: Any, files: Path, size: tuple[int, int]) -> None:
    resize(browser, size)
    viewer = view(files / "model.fp32.onnx", browse=False, wait=False)
    try:
        open_netron(browser, viewer.url)
        drawn = browser.execute_script("return document.querySelector('#canvas, svg').textContent")
        assert drawn.count("Conv") == 4 and drawn.count("Add") == 2 and "QuantizeLinear" not in drawn
        assert complaints(browser) == []
    finally:
        viewer.stop()


def test_the_panel_of_an_int8_layer_says_where_it_comes_from(browser: Any, files: Path) -> None:
    resize(browser, WIDE)
    viewer = view(files / "model.int8.onnx", browse=False, wait=False)
    try:
        open_netron(browser, viewer.url)
        assert {"node-name-node_conv2d", "node-name-node_quantize", "node-name-node_add"} <= set(
            browser.execute_script(_NODES)
        )
        values = browser.execute_script(_PANEL) if click_on(browser, "node_conv2d") else []
        panel = dict(values)
        assert panel["fxpasses.module"] == "0.conv1"
        assert panel["fxpasses.operator"] == "conv2d"
        assert panel["fxpasses.folded"] == "_0_bn1"
        assert panel["fxpasses.grid"].startswith("uint8, scale 0.")
        assert panel["fxpasses.weights"].startswith("int8, scale ")
        assert complaints(browser) == []
    finally:
        viewer.stop()


_PANEL = """
return [...document.querySelectorAll('.sidebar-item')].map(
  item => [item.querySelector('.sidebar-item-name'), item.querySelector('.sidebar-item-value')].map(
    part => !part ? '' : part.querySelector('input') ? part.querySelector('input').value : part.innerText.trim()));
"""


def test_a_graph_of_torch_is_drawn(browser: Any, files: Path) -> None:
    resize(browser, WIDE)
    viewer = view(files / "model.int8.pt2", browse=False, wait=False)
    try:
        open_netron(browser, viewer.url)
        assert browser.execute_script(_DRAWN) > 8
        assert complaints(browser) == []
    finally:
        viewer.stop()


@pytest.mark.parametrize("size", [WIDE, PHONE])
def test_two_graphs_in_one_page(browser: Any, files: Path, size: tuple[int, int]) -> None:
    resize(browser, size)
    both = view_both(files / "model.fp32.onnx", files / "model.int8.onnx", browse=False)
    try:
        browser.get(both.url)
        frames = browser.find_elements("css selector", "iframe")
        boxes = [frame.rect for frame in frames]
        drawn = []
        for frame in frames:
            browser.switch_to.frame(frame)
            until(browser, f"{_DRAWN} || document.querySelector('#message-button').textContent.trim() === 'Accept'")
            if not browser.execute_script(_DRAWN):
                assert browser.execute_script(_ACCEPT)
            until(browser, _DRAWN)
            drawn.append(browser.execute_script("return document.querySelector('#canvas, svg').textContent"))
            browser.switch_to.default_content()
        assert ["QuantizeLinear" in text for text in drawn] == [False, True]
        assert browser.title == "model.fp32.onnx and model.int8.onnx"
        side_by_side = boxes[0]["y"] == boxes[1]["y"] and boxes[0]["x"] < boxes[1]["x"]
        assert side_by_side is (size == WIDE)
        assert min(box["height"] for box in boxes) > 300
        assert browser.execute_script("return document.documentElement.scrollWidth") == size[0]
        assert complaints(browser) == []
    finally:
        both.stop()
