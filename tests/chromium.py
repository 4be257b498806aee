"""A headless Chromium for tests, driven by selenium; tests that need it are skipped if there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

WIDE, PHONE = (1280, 900), (390, 844)
WAIT_S = 60
_OURS = "//localhost"
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost"),
)


def why_no_browser() -> str | None:
    """Why no browser can be started, namely which program is missing; None if one can."""
    try:
        import selenium  # noqa: F401
    except ImportError:
        return 'selenium is not installed: pip install "fxpasses[browser]"'
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"no {' and no '.join(missing)} on this machine" if missing else None


@contextmanager
def chromium(profile: Path) -> Iterator[Any]:
    """A browser with a new, empty profile."""
    reason = why_no_browser()
    if reason is not None:
        pytest.skip(reason)
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = str(shutil.which("chromium"))
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(shutil.which("chromedriver"))))
    try:
        yield driver
    finally:
        driver.quit()


def resize(driver: Any, size: tuple[int, int]) -> None:
    """Give the page exactly this size, narrower than a window can be."""
    width, height = size
    settings = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", settings)


def complaints(driver: Any) -> list[str]:
    """Warnings and errors of the browser's console, without Netron's failed requests to the network."""
    entries = [entry for entry in driver.get_log("browser") if entry["level"] in ("WARNING", "SEVERE")]
    return [entry["message"] for entry in entries if entry["source"] != "network" or _OURS in entry["message"]]


def until(driver: Any, question: str, *arguments: Any) -> Any:
    """The answer to a question in JavaScript, as soon as it is not false."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, WAIT_S).until(lambda found: found.execute_script(question, *arguments))
