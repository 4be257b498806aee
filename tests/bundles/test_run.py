"""run.py as users start it: in a folder of its own, without this package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bundle_folders import IMAGE, bundle, pixels
from PIL import Image

from fxpasses.bundles import run, unpack_bundle
from fxpasses.models.data.image_folder import read_image

MOST_LINES = 149
STUB = "import os, signal\nos.kill(os.getpid(), signal.{signal})\n"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("app")
    unpack_bundle(bundle(), folder)
    Image.fromarray(pixels()[3].numpy()).save(folder.parent / "photo.png")
    return folder


def started(app: Path, *arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-B", str(app / "run.py"), *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=120, env=environment | settings,
    )  # fmt: skip


def altered(app: Path, to: Path, name: str, content: bytes | None) -> Path:
    shutil.copytree(app, to)
    (to / name).unlink()
    if content is not None:
        (to / name).write_bytes(content)
    return to


def test_it_is_short_and_needs_little() -> None:
    text = Path(run.__file__).read_text()
    assert len(text.splitlines()) <= MOST_LINES
    assert "fxpasses.b" not in text and "import fxpasses" not in text and "allow_pickle=False" in text


def test_the_self_test_passes(app: Path) -> None:
    done = started(app, "--selftest")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines[:-1]] == list(run.MODELS)
    assert all("the expected integers; largest difference 0 LSB, 0 of 16 values" in line for line in lines[:-1])
    assert lines[-1].startswith("self-test passed: onnxruntime ")


def test_a_photo(app: Path) -> None:
    done = started(app, app.parent / "photo.png")
    assert done.returncode == 0, done.stderr
    shares = [float(line.split("%")[0]) for line in done.stdout.splitlines()]
    assert len(shares) == 4 and shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(100, abs=0.3)
    assert "  crane" in done.stdout


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(7, 9), (9, 7), (40, 31), (31, 40), (5, 5), (224, 8)], ids=str)
def test_photos_are_scaled_as_image_folders_are(size: tuple[int, int], channels: int, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(256, size=(*size, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.jpg")
    image = replace(IMAGE, channels=channels)
    found = run.pixels_of(str(tmp_path / "photo.jpg"), image.to_json())
    expected = read_image(tmp_path / "photo.jpg", (channels, 9, 7)).permute(1, 2, 0)
    assert np.array_equal(found[0], expected.numpy())


def test_latency_as_json(app: Path) -> None:
    done = started(app, "--bench", "--runs", "3", "--batch", "5", "--file", "model.fp32.onnx")
    told = json.loads(done.stdout)
    assert told["schema"] == "fxpasses-bench-1" and told["file"] == "model.fp32.onnx"
    assert (told["threads"], told["batch"], told["runs"]) == (1, 5, 3) and len(told["times_ms"]) == 3
    assert told["median_ms"] == np.median(told["times_ms"]) and told["std_ms"] >= 0 and told["mean_ms"] > 0
    assert told["cpu"] and told["onnxruntime"]


@pytest.mark.parametrize("arguments", [["--selftest"], ["photo.png"]])
def test_an_illegal_instruction_ends_in_a_sentence(app: Path, arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime" / "__init__.py").write_text(STUB.format(signal="SIGILL"))
    done = started(app, *arguments, PYTHONPATH=str(tmp_path))
    assert done.returncode == 3 and not done.stdout
    assert "dies of an illegal instruction on this CPU" in done.stderr and "fix: install another version" in done.stderr
    assert "Traceback" not in done.stderr


def test_another_signal_is_named(app: Path, tmp_path: Path) -> None:
    (tmp_path / "onnxruntime.py").write_text(STUB.format(signal="SIGKILL"))
    done = started(app, "--selftest", PYTHONPATH=str(tmp_path))
    assert done.returncode == 3 and "ended by SIGKILL" in done.stderr


def test_a_missing_package_is_named(app: Path, tmp_path: Path) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('no onnxruntime here')")
    done = started(app, "--selftest", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1 and "no onnxruntime here\nfix: pip install" in done.stderr


def test_other_integers_fail(app: Path, tmp_path: Path) -> None:
    with np.load(app / "expected.npz") as file:
        arrays = {name: file[name] for name in file.files}
    arrays["output_0"] = arrays["output_0"] + 3 * arrays["lsb"][0].astype(np.float32)
    np.savez(tmp_path / "expected.npz", **arrays)
    changed = altered(app, tmp_path / "app", "expected.npz", (tmp_path / "expected.npz").read_bytes())
    done = started(changed, "--selftest")
    assert done.returncode == 1 and "OTHER integers; largest difference 3 LSB, 16 of 16" in done.stdout
    assert "self-test FAILED" in done.stdout


def test_nothing_in_a_file_runs_code(app: Path, tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "harmed"),)

    np.savez(tmp_path / "expected.npz", input_0=np.array([Harmful()], dtype=object))
    changed = altered(app, tmp_path / "app", "expected.npz", (tmp_path / "expected.npz").read_bytes())
    done = started(changed, "--selftest")
    assert done.returncode == 2 and "allow_pickle=False" in done.stderr and not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("bundle.json", None, "No such file"),
        ("model.int8.onnx", b"no model", "error: "),
    ],
)
def test_a_damaged_bundle(app: Path, name: str, content: bytes | None, said: str, tmp_path: Path) -> None:
    done = started(altered(app, tmp_path / "app", name, content), "--selftest")
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr


def test_what_is_no_photo(app: Path) -> None:
    for argument in ("absent.jpg", str(app / "bundle.json")):
        done = started(app, argument)
        assert done.returncode == 2 and done.stderr.startswith("error: ")
    done = started(app)
    assert done.returncode == 2 and "name a photo for a model of classes, or say --bench or --selftest" in done.stderr


def test_a_model_that_takes_no_images_says_why(app: Path, tmp_path: Path) -> None:
    about = json.loads((app / "bundle.json").read_text())
    for name, change, said in (
        ("tokens", {"image": None, "why_no_image": "it takes tokens"}, "it takes tokens"),
        ("masks", {"classes": None}, "a photo for a model of classes"),
    ):
        changed = altered(app, tmp_path / name, "bundle.json", json.dumps(about | change).encode())
        done = started(changed, app.parent / "photo.png")
        assert done.returncode == 2 and said in done.stderr
