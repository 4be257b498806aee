"""Runs int8 ONNX files in onnxruntime: ``python runner.py job.json``. It needs only numpy and onnxruntime.

The job is ``{"files": [{"name", "path", "inputs", "options", "batch", "outputs"}, ...]}``. ``inputs`` is an .npz of
arrays in the order of the file's inputs; they are given to the file in batches, and all results go to the .npz
``outputs``. With ``"runs"`` instead of ``"outputs"`` only the first input is run, that many times, with a mark before
each run and one at the end.

The program prints a line of JSON before each file, ``{"begun": NAME}``, and one after it, ``{"done": NAME}`` or
``{"failed": NAME, "why": ...}``. So its caller knows to which file a crash belongs.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

MARK = 0x5F3A0000
"""Argument of the system calls that the plugin counts instructions between; see instructions.c."""


def main() -> None:
    for file in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["files"]:
        say(begun=file["name"])
        try:
            run_file(file)
        except Exception as error:  # noqa: BLE001 onnxruntime's own errors have no other class in common
            say(failed=file["name"], why=" ".join(f"{type(error).__name__}: {error}".split()))
        else:
            say(done=file["name"])


def say(**told: Any) -> None:
    print(json.dumps(told), flush=True)


def run_file(file: dict[str, Any]) -> None:
    """Run one file on all its inputs and write its outputs, or run the first input with marks."""
    session = session_of(file["path"], file["options"])
    with np.load(file["inputs"]) as stored:
        given = {i.name: stored[key] for i, key in zip(session.get_inputs(), stored.files, strict=True)}
    if "runs" in file:
        run_with_marks(session, {name: x[:1] for name, x in given.items()}, file["runs"])
        return
    count = len(next(iter(given.values())))
    parts = [
        session.run(None, {name: x[start : start + file["batch"]] for name, x in given.items()})
        for start in range(0, count, file["batch"])
    ]
    np.savez(file["outputs"], *(np.concatenate(part) for part in zip(*parts, strict=True)))


def run_with_marks(session: Any, first: dict[str, Any], runs: int) -> None:
    for _ in range(runs):
        mark()
        session.run(None, first)
    mark()


def session_of(path: str, options: dict[str, str]) -> Any:
    """Session of one thread, with the options that the file needs on this CPU."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    for key, value in options.items():
        settings.add_session_config_entry(key, value)
    return onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])


def mark() -> None:
    """Make a system call that does nothing: close a file that is not open."""
    try:
        os.close(MARK)
    except OSError:
        return


if __name__ == "__main__":
    main()
