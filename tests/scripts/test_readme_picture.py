"""scripts/documentation/picture.py: a picture of a page, of the size that the README shows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from picture import SIZE, draw
from PIL import Image


@pytest.mark.slow  # starts a browser
def test_a_page_becomes_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("selenium")
    if not shutil.which("chromedriver"):
        pytest.skip("Chromium's driver is not installed")
    page = tmp_path / "report.html"
    page.write_text("<body style='margin:0;background:rgb(10,200,30)'>", encoding="utf-8")
    draw(page, tmp_path / "report.png")
    with Image.open(tmp_path / "report.png") as picture:
        width, height = picture.size
        assert width == SIZE[0] and 0 < height <= SIZE[1]
        assert picture.convert("RGB").getpixel((width // 2, height // 2)) == (10, 200, 30)
