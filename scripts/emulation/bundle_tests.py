"""Self-tests of bundles on one CPU: the result of ``python run.py --selftest`` there for each file."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from emulation.checks import LIMIT_S
from emulation.children import Children
from emulation.cpus import Cpu, Emulation, Moved, WholeMachine, command_on
from emulation.jobs import why_ended
from emulation.outcome import ONNXRUNTIME, Difference, Outcome
from fxpasses.bundles import read_about, unpack_bundle

_LINE = re.compile(
    r"(?P<file>\S+): (?P<said>.*); largest difference (?P<lsb>\S+) LSB, (?P<n>\d+) of (?P<of>\d+) values"
)
_VERSION = re.compile(r"^self-test \w+: onnxruntime (?P<version>\S+) on ", re.MULTILINE)
_EXCUSED = "use .onnx on this CPU"


@dataclass(frozen=True)
class BundleTest:
    """Unpacked bundles to test on a CPU; ``why_not`` says why it cannot be emulated."""

    cpu: Cpu
    bundles: Sequence[Path]
    folder: Path
    emulation: Emulation | WholeMachine | None = None
    why_not: str | None = None


def unpacked(bundles: Sequence[Path], folder: Path) -> list[Path]:
    """Unpack each zip into a folder of the same name, and return the folders."""
    folders = [folder / f"{number}" / bundle.stem for number, bundle in enumerate(bundles)]
    for bundle, place in zip(bundles, folders, strict=True):
        unpack_bundle(bundle, place)
    return folders


def self_tests(test: BundleTest, children: Children) -> list[Outcome]:
    """The outcome of the self-test for every file of every bundle."""
    return [outcome for bundle in test.bundles for outcome in _of_bundle(test, bundle, children)]


def _of_bundle(test: BundleTest, bundle: Path, children: Children) -> list[Outcome]:
    target, ours = read_about(bundle).target, version("onnxruntime")
    if test.why_not is not None:
        return [
            Outcome(
                bundle.name, bundle.name, target, test.cpu.name, ONNXRUNTIME, ours, why_not=test.why_not, skipped=True
            )
        ]
    test.folder.mkdir(parents=True, exist_ok=True)
    errors = test.folder / f"{bundle.name}.txt"
    arguments = [str(bundle / "run.py"), "--selftest"]
    command, environment = command_on(test.cpu, test.emulation, arguments, moved=Moved((bundle,)))
    ended = children.run(command, environment, errors, LIMIT_S)
    said = _VERSION.search(ended.printed)
    found = [
        _of_line(line, bundle, target, test.cpu, said["version"] if said else ours)
        for line in _LINE.finditer(ended.printed)
    ]
    if said is None or not found:
        why = why_ended(ended, errors.read_text(encoding="utf-8", errors="replace"), LIMIT_S)
        return [Outcome(bundle.name, bundle.name, target, test.cpu.name, ONNXRUNTIME, ours, why_not=why)]
    return found


def _of_line(line: re.Match[str], bundle: Path, target: str, cpu: Cpu, runtime: str) -> Outcome:
    name = f"{bundle.name}, {line['file']}"
    if _EXCUSED in line["said"]:
        why = f"{name}: an .ort file cannot take session options; the .onnx file is for this CPU"
        return Outcome(name, bundle.name, target, cpu.name, ONNXRUNTIME, runtime, why_not=why, skipped=True)
    difference = Difference(float(line["lsb"]), int(line["n"]), int(line["of"]))
    options = (
        json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))["session_options"] if cpu.saturates else {}
    )
    return Outcome(name, bundle.name, target, cpu.name, ONNXRUNTIME, runtime, options, difference)
