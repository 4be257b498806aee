"""Importing the package and asking the command for help load nothing slow: tested by the loaded
modules, not by time.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

import fxpasses

SLOW = (
    *("torch", "torchvision", "onnx", "onnx_ir", "onnxruntime", "onnxscript", "scipy", "sklearn", "matplotlib"),
    *("netron", "ptflops", "safetensors", "timm", "joblib", "PIL", "numpy"),
)
REPORT = f"import sys; print([name for name in {SLOW} if name in sys.modules], file=sys.stderr)"


def slow_modules_after(code: str) -> str:
    """The slow modules that are loaded in a fresh process once it has run ``code``."""
    done = subprocess.run(
        [sys.executable, "-c", f"import atexit; atexit.register(lambda: exec({REPORT!r}, {{}}))\n{code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.strip().splitlines()[-1]


def test_the_measurement_sees_a_slow_module() -> None:
    assert slow_modules_after("import numpy") == "['numpy']"


def test_import_loads_nothing_slow() -> None:
    assert slow_modules_after("import fxpasses") == "[]"


def test_help_loads_nothing_slow() -> None:
    help_ = "import runpy, sys; sys.argv = ['fxpasses', '--help']; runpy.run_module('fxpasses', run_name='__main__')"
    assert slow_modules_after(help_) == "[]"


def test_help_succeeds() -> None:
    done = subprocess.run([sys.executable, "-m", "fxpasses", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "quickstart" in done.stdout


@pytest.mark.parametrize("package", ["fxpasses.export", "fxpasses.models"])
def test_subpackages_load_torch_at_most(package: str) -> None:
    loaded = slow_modules_after(f"import {package}")
    assert set(loaded.strip("[]").replace("'", "").split(", ")) <= {"", "torch", "numpy"}


def test_public_names_are_listed_and_found() -> None:
    public = [name for name in dir(fxpasses) if not name.startswith("_")]
    assert {"capture", "fuse", "observe", "calibrate", "convert", "quantize", "QuantConfig"} <= set(public)
    assert [name for name in public if getattr(fxpasses, name, None) is None] == []


def test_public_names_are_functions_even_after_every_submodule_is_loaded() -> None:
    for name in ("capture", "fuse", "observe", "calibrate", "convert", "quantize"):
        assert f"fxpasses.{name}" not in sys.modules
        assert callable(getattr(fxpasses, name))


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="module 'fxpasses' has no attribute 'prepare'"):
        getattr(fxpasses, "prepare")  # noqa: B009 - mypy would refuse the plain spelling
