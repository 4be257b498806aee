"""Run the model beside this file. Needs numpy and onnxruntime; for images, pillow.

python run.py photo.jpg     the five likeliest classes
python run.py --bench       latency, as JSON
python run.py --selftest    whether this device computes the expected integers; exit code 0 if it does
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MODELS = ("model.int8.onnx", "image.int8.onnx", "model.int8.ort", "image.int8.ort")
OPTION, X86 = "session.x64quantprecision", ("x86_64", "AMD64")  # .ort files are loaded as they are, whatever it says
CHILD, ILLEGAL_ON_WINDOWS = "FXPASSES_BUNDLE_CHILD", 0xC000001D


def cpu() -> str:
    info = Path("/proc/cpuinfo").read_text("utf-8", "replace") if Path("/proc/cpuinfo").exists() else ""
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in info.splitlines())}
    part = f"{platform.machine()}, CPU part {said['CPU part']}" if "CPU part" in said else ""
    return said.get("Model") or said.get("model name") or part or platform.processor() or platform.machine()


def leave_to_child() -> None:
    """Return in a child only; the parent waits, and says so if this CPU cannot run onnxruntime."""
    if CHILD in os.environ:
        return
    os.environ[CHILD] = "1"
    if hasattr(os, "fork"):  # no thread runs yet; and under an emulator a program can fork, but not start another
        child = os.fork()
        if not child:
            return
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    else:
        code = subprocess.run([sys.executable, *sys.argv], check=False).returncode
    if code in (-signal.SIGILL, ILLEGAL_ON_WINDOWS):
        what = f"onnxruntime {version('onnxruntime')} dies of an illegal instruction on this CPU ({cpu()})"
        print(f"error: {what}\nfix: install another version of it, or build it on this device", file=sys.stderr)
    elif code < 0:
        print(f"error: the child process was ended by {signal.Signals(-code).name}", file=sys.stderr)
    sys.exit(code if 0 <= code < 3 else 3)


if __name__ == "__main__":
    leave_to_child()
try:
    import numpy as np
    import onnxruntime as ort
except ImportError as missing:
    sys.exit(f"error: {missing}\nfix: pip install numpy onnxruntime pillow")


def opened(name: str, about: dict[str, Any], threads: int) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """A file in onnxruntime, the stored inputs by their names in it, and all stored arrays."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 4
    if OPTION in about["session_options"]:  # from the metadata: without it some x86 CPUs saturate
        options.add_session_config_entry(OPTION, "1")
    session = ort.InferenceSession(str(HERE / name), options, providers=["CPUExecutionProvider"])
    with np.load(HERE / "expected.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    kind = "pixels" if name.startswith("image.") else "input"
    return session, {given.name: arrays[f"{kind}_{i}"] for i, given in enumerate(session.get_inputs())}, arrays


def pixels_of(photo: str, image: dict[str, Any]) -> Any:
    """uint8 [1, H, W, C]: scaled on the shorter side, and the centre cut out, unless the graph does that itself."""
    from PIL import Image

    width, height = image["width"], image["height"]
    with Image.open(photo) as file:
        picture = file.convert("RGB" if image["channels"] == 3 else "L")
    if picture.size != (width, height) and not image["any_size"]:
        scale = image["resize_ratio"] * max(width / picture.width, height / picture.height)
        size = (max(width, round(picture.width * scale)), max(height, round(picture.height * scale)))
        left, top = (size[0] - width) // 2, (size[1] - height) // 2
        picture = picture.resize(size, Image.Resampling.BILINEAR).crop((left, top, left + width, top + height))
    return np.asarray(picture, np.uint8).reshape(1, picture.height, picture.width, image["channels"])


def classify(about: dict[str, Any], chosen: argparse.Namespace) -> None:
    if chosen.photo is None or about["image"] is None or about["classes"] is None:
        raise ValueError(about["why_no_image"] or "name a photo for a model of classes, or say --bench or --selftest")
    session, feed, _ = opened(MODELS[1], about, chosen.threads)
    logits = session.run(None, dict.fromkeys(feed, pixels_of(chosen.photo, about["image"])))[0].reshape(-1)
    names = json.loads((HERE / "names.json").read_text("utf-8")) if "names.json" in about["files"] else {}
    shares = np.exp(logits - logits.max())
    for place in np.argsort(-logits, kind="stable")[:5]:
        print(f"{100 * shares[place] / shares.sum():5.1f} %  {names.get(str(place), f'class {place}')}")


def bench(about: dict[str, Any], chosen: argparse.Namespace) -> None:
    session, feed, _ = opened(chosen.file, about, chosen.threads)
    feed, times = {key: np.resize(x, (chosen.batch, *x.shape[1:])) for key, x in feed.items()}, []
    for _ in range(10 + chosen.runs):
        begun = time.perf_counter()
        session.run(None, feed)
        times.append(1000 * (time.perf_counter() - begun))
    told = {"schema": "fxpasses-bench-1", "file": chosen.file, "cpu": cpu(), "onnxruntime": ort.__version__}
    told |= {key: getattr(chosen, key) for key in ("threads", "batch", "runs")}
    found = {"median": np.median(times[10:]), "mean": np.mean(times[10:]), "std": np.std(times[10:])}
    print(json.dumps(told | {f"{key}_ms": float(x) for key, x in found.items()} | {"times_ms": times[10:]}))


def selftest(about: dict[str, Any], chosen: argparse.Namespace) -> int:
    good = True
    for name in (name for name in MODELS if name in about["files"]):
        session, feed, arrays = opened(name, about, chosen.threads)
        largest, differing, values = 0.0, 0, 0
        for i, found in enumerate(session.run(None, feed)):
            right = arrays[f"output_{i}"]
            apart = np.abs(found.astype("f8") - right) / arrays["lsb"][i]
            largest = max(largest, float(apart.max(initial=0)) if np.isfinite(apart).all() else np.inf)
            differing, values = differing + int((found != right).sum()), values + right.size
        excused = name.endswith(".ort") and OPTION in about["session_options"] and platform.machine() in X86
        said = "the expected integers" if largest < 0.5 else "OTHER integers" + excused * "; use .onnx on this CPU"
        good = good and (largest < 0.5 or excused)
        print(f"{name}: {said}; largest difference {largest:.3g} LSB, {differing} of {values} values differ")
    print(f"self-test {'passed' if good else 'FAILED'}: onnxruntime {ort.__version__} on {cpu()}")
    return 0 if good else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", nargs="?")
    for flag in ("--selftest", "--bench"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--file", default=MODELS[0], help="which one --bench times (%(default)s)")
    for option, default in (("--threads", 1), ("--batch", 1), ("--runs", 100)):
        parser.add_argument(option, type=int, default=default, help="(%(default)s)")
    chosen = parser.parse_args()
    try:
        about = json.loads((HERE / "bundle.json").read_text("utf-8"))
        run = selftest if chosen.selftest else bench if chosen.bench else classify
        sys.exit(run(about, chosen))
    except Exception as error:  # noqa: BLE001 - a file of the bundle or a photo is missing or damaged
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
