"""The picture of a difference names every operator, and drawing it again gives the same bytes."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image
from tiny_graphs import captured, quantized

from fxpasses.comparing.difference import diff
from fxpasses.comparing.picture import picture, write_picture
from fxpasses.errors import InputError


def texts(svg: bytes) -> list[str]:
    return [str(e.text) for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("}text")]


def test_every_operator_is_drawn() -> None:
    found = diff(captured("residual_block"), quantized("residual_block"))
    drawn = "\n".join(texts(picture(found, "svg")))
    for row in found.rows:
        assert f"{row.step.title}  {row.step.operator}" in drawn
    assert "folded into the layer in front" in drawn


def test_the_same_picture_twice() -> None:
    found = diff(captured("conv_bn_relu"), quantized("conv_bn_relu"))
    assert picture(found, "svg") == picture(found, "svg")


def test_nothing_and_everything_have_a_picture_too() -> None:
    assert any("No difference" in text for text in texts(picture(diff(captured("cat"), captured("cat")), "svg")))
    unrelated = diff(captured("attention"), captured("conv_bn_relu"))
    assert any("unrelated" in text for text in texts(picture(unrelated, "svg")))


def test_a_png_and_a_name_that_is_neither(tmp_path: Path) -> None:
    found = diff(captured("conv_bn_relu"), quantized("conv_bn_relu"))
    with Image.open(write_picture(found, tmp_path / "d.png")) as image:
        assert image.width > 500 and len(image.convert("RGB").getcolors(1 << 20) or ()) > 5
    with pytest.raises(InputError, match=r"name it d\.svg"):
        write_picture(found, tmp_path / "d.pdf")
