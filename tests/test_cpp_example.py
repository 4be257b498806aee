"""docs/examples/cpp: compiled against onnxruntime's headers, linked to the library of its Python package, and run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from int8_files import run_file
from repository import ROOT
from served import images, tiny_net

EXAMPLE = ROOT / "docs" / "examples" / "cpp"
HEADER = "onnxruntime_cxx_api.h"
LONG_ENOUGH_S = 180


def headers() -> Path:
    """The folder of onnxruntime's headers, which no package of PyPI, npm or Debian 12 holds."""
    places = [os.environ.get("ONNXRUNTIME_INCLUDE"), "/usr/include/onnxruntime", "/usr/local/include/onnxruntime"]
    found = [Path(place) for place in places if place and (Path(place) / HEADER).is_file()]
    if not found:
        pytest.skip(f"no {HEADER}: set ONNXRUNTIME_INCLUDE to the include folder of a release of onnxruntime")
    return found[0]


def library(folder: Path) -> Path:
    """The shared library of the Python package, under the names that linkers and loaders look for."""
    found = sorted((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))
    if not found:
        pytest.skip("this onnxruntime package has no shared library of its own")
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (folder / name).symlink_to(found[0])
    return folder / "libonnxruntime.so"


def run(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        timeout=LONG_ENOUGH_S,
        env=os.environ | {"LD_LIBRARY_PATH": str(folder)},
    )


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
def test_it_compiles_and_gives_the_expected_integers(tmp_path: Path) -> None:
    settings = [f"-DONNXRUNTIME_INCLUDE={headers()}", f"-DONNXRUNTIME_LIBRARY={library(tmp_path)}"]
    configured = run("cmake", "-S", EXAMPLE, "-B", tmp_path / "build", *settings, folder=tmp_path)
    assert configured.returncode == 0, configured.stderr
    built = run("cmake", "--build", tmp_path / "build", folder=tmp_path)
    assert built.returncode == 0, built.stdout + built.stderr

    model, content, x = tmp_path / "model.int8.onnx", tiny_net().SerializeToString(), images(3)
    model.write_bytes(content)
    (expected,) = (output.numpy() for output in run_file(content, (x,)))
    other = expected.copy()
    other[0, 0] = np.nextafter(other[0, 0], np.float32(100))
    for name, values in (("input", x), ("expected", expected), ("other", other)):
        values.tofile(tmp_path / f"{name}.f32")
    program, given = tmp_path / "build" / "run_int8", (model, tmp_path / "input.f32")
    good = run(program, *given, tmp_path / "expected.f32", folder=tmp_path)
    assert (good.returncode, good.stdout) == (0, "the expected integers: 12 values\n"), good.stderr
    bad = run(program, *given, tmp_path / "other.f32", folder=tmp_path)
    assert bad.returncode == 1 and bad.stdout.startswith("OTHER integers")
    missing = run(program, tmp_path / "no.onnx", tmp_path / "input.f32", tmp_path / "other.f32", folder=tmp_path)
    assert missing.returncode == 2 and "no.onnx" in missing.stderr
