"""Compares the files that two versions of fxpasses write for eight quantized nets and a pruned one.

    python scripts/same_files.py BEFORE AFTER

BEFORE and AFTER are folders of checkouts. Each net goes through the command line in a process of its own, with random
weights and noise, on one thread, so that nothing but the code can differ. Files are compared byte by byte; of
archives the entries, without what differs between two runs of one version.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

NETS = {
    "lenet": ("quantize", "lenet", "--data", "random=1x28x28"),
    "digits_cnn": ("quantize", "digits_cnn", "--data", "digits"),
    "cifar_resnet20": ("quantize", "cifar_resnet20", "--data", "random=3x32x32"),
    "cifar_resnet20, 4 bits": (
        *("quantize", "cifar_resnet20", "--data", "random=3x32x32"),
        *("--bits", "4", "--rounding", "learned"),
    ),
    "resnet18": ("quantize", "torchvision/resnet18", "--data", "random=3x64x64", "--image-size", "64"),
    "mobilenet_v2": ("quantize", "torchvision/mobilenet_v2", "--data", "random=3x64x64", "--image-size", "64"),
    "shufflenet": ("quantize", "torchvision/shufflenet_v2_x0_5", "--data", "random=3x64x64", "--image-size", "64"),
    "squeezenet, exact": (
        *("quantize", "torchvision/squeezenet1_1", "--data", "random=3x64x64", "--image-size", "64"),
        *("--target", "x86", "--no-float-results"),
    ),
    "digits_cnn, pruned": ("prune", "digits_cnn", "--data", "digits", "--ratio", "0.3", "--quantize"),
}
"""Arguments of the command line for each net, without those that all have."""
ENDINGS = (".onnx", ".pt2", ".pt", ".toml")
PLACES = ("from_node", "stack_trace", "nn_module_stack")
"""Metadata of nodes that torch.export writes: addresses in memory, lines of code, and the modules of classes."""
SAMPLES = ("--calib", "16", "--eval", "8", "--no-bench", "--threads", "1")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS), metavar="NET")
    chosen = parser.parse_args(arguments)
    table = Table("net", "file", "before", "after", "")
    unequal = 0
    for name in chosen.nets:
        with tempfile.TemporaryDirectory() as folder:
            before, after = (made(checkout.resolve(), name, Path(folder)) for checkout in (chosen.before, chosen.after))
        for file in sorted(before | after):
            first, second = before.get(file, "missing"), after.get(file, "missing")
            unequal += first != second
            table.add_row(name, file, first, second, "equal" if first == second else "DIFFERENT")
    Console().print(table)
    return unequal > 0


def made(checkout: Path, name: str, folder: Path) -> dict[str, str]:
    """Digests of the files that a checkout makes of a net."""
    out = folder / "result"  # the same name for both, because reports may contain it
    command = [sys.executable, "-m", "fxpasses", *NETS[name], *SAMPLES, "--out", str(out)]
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}, {checkout}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    found = {path.name: digest(path) for path in sorted(out.iterdir()) if path.suffix in ENDINGS}
    subprocess.run(["rm", "-r", str(out)], check=True)
    return found


def digest(path: Path) -> str:
    """Start of a SHA-256 of the bytes; for an archive, of its entries' names and bytes."""
    content = hashlib.sha256()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for entry in sorted(archive.namelist()):
                content.update(entry.encode() + lasting(entry, archive.read(entry)))
    else:
        content.update(path.read_bytes())
    return content.hexdigest()[:12]


def lasting(entry: str, content: bytes) -> bytes:
    """Content of an archive's entry without parts that differ between runs of one version: addresses, places in the
    code.
    """
    if entry.endswith("serialization_id"):
        return b""
    return json.dumps(_without_places(json.loads(content))).encode() if entry.endswith(".json") else content


def _without_places(value: object) -> object:
    if isinstance(value, list):
        return [_without_places(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_places(item) for key, item in value.items() if key not in PLACES}
    return value


if __name__ == "__main__":
    sys.exit(main())
