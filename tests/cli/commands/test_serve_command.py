"""``fxpasses serve`` as a process of its own, and what it refuses."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from cli_runs import LONG_ENOUGH_S, command, fxpasses
from served import images, request_of, tiny_folder


def test_it_says_where_it_is_answers_and_stops(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "f")
    process = subprocess.Popen(
        command("serve", folder, "--port", "0", "--name", "tiny"),
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1", "FXPASSES_TOKEN": "a token of the environment"},
    )
    try:
        assert process.stdout is not None
        address = re.match(r"tiny at (http://127\.0\.0\.1:\d+) - Ctrl-C ends it\n", process.stdout.readline())
        assert address is not None
        request = urllib.request.Request(
            f"{address[1]}/v2/models/tiny/infer",
            json.dumps(request_of(images(2))).encode(),
            {"authorization": "Bearer a token of the environment"},
        )
        with urllib.request.urlopen(request, timeout=LONG_ENOUGH_S) as answer:
            assert np.isfinite(json.load(answer)["outputs"][0]["data"]).all()
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONG_ENOUGH_S) == 0
    finally:
        process.kill()
        process.communicate()


def test_without_a_token_it_is_for_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FXPASSES_TOKEN", raising=False)
    done = fxpasses("serve", tiny_folder(tmp_path / "f"), "--host", "0.0.0.0")
    assert done.code == 2 and "without a token" in done.err and "FXPASSES_TOKEN" in done.err


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr("fxpasses.serving.extra.find_spec", lambda name: None if name == "uvicorn" else found(name))
    done = fxpasses("serve", tiny_folder(tmp_path / "f"))
    assert done.code == 2 and "not installed: uvicorn" in done.err and 'pip install "fxpasses[serve]"' in done.err


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    done = fxpasses("serve", tmp_path / "nothing")
    assert done.code == 2 and "cannot open the folder" in done.err


@pytest.mark.parametrize("option", [("--timeout", "nan"), ("--port", "-1"), ("--workers", "1000")])
def test_options_out_of_bounds(tmp_path: Path, option: tuple[str, str]) -> None:
    assert fxpasses("serve", tiny_folder(tmp_path / "f"), *option).code == 2
