"""Makes the README's picture: the head of a run's report.html, as Chromium draws it.

    fxpasses quantize cifar_resnet20 --weights FILE --data cifar10=DIR --out resnet20
    python scripts/documentation/picture.py resnet20

Needs Chromium, its driver, and the extra ``browser``.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

SIZE = (1240, 690)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of fxpasses quantize")
    parser.add_argument("--out", type=Path, default=Path("docs/images/report.png"))
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    draw(arguments.folder / "report.html", arguments.out)
    return 0


def draw(page: Path, picture: Path) -> None:
    """Save what the window shows of a page, before anybody scrolls."""
    from selenium import webdriver

    driver = shutil.which("chromedriver")
    if driver is None:
        raise SystemExit("no chromedriver: install Chromium's driver, on Debian chromium-driver")
    options = webdriver.ChromeOptions()
    with tempfile.TemporaryDirectory() as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}", f"--window-size={SIZE[0]},{SIZE[1]}"):
            options.add_argument(flag)
        browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        try:
            browser.get(page.resolve().as_uri())
            browser.save_screenshot(str(picture))
        finally:
            browser.quit()


if __name__ == "__main__":
    raise SystemExit(main())
