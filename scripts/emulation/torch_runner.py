"""Runs int8 ``.pt2`` files in PyTorch: ``python torch_runner.py job.json``; prints the same lines as runner.py.

The job is ``{"files": [{"name", "pt2", "inputs", "engine", "outputs", "batch"}, ...]}``; with an engine of null the
toolkit chooses one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

import fxpasses


def main() -> None:
    torch.set_num_threads(1)
    for file in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["files"]:
        say(begun=file["name"])
        try:
            run_file(file)
        except (RuntimeError, ValueError, TypeError, KeyError, OSError, fxpasses.FxPassesError) as error:
            say(failed=file["name"], why=" ".join(f"{type(error).__name__}: {error}".split()))
        else:
            say(done=file["name"])


def say(**told: Any) -> None:
    print(json.dumps(told), flush=True)


@torch.inference_mode()
def run_file(file: dict[str, Any]) -> None:
    """Run one file on all its inputs, and write its outputs."""
    module = fxpasses.export.to_torch(fxpasses.export.load(file["pt2"]), engine=file["engine"])
    with np.load(file["inputs"]) as stored:
        given = [torch.from_numpy(stored[key]) for key in stored.files]
    batches = zip(*(x.split(file["batch"]) for x in given), strict=True)
    parts: list[list[Tensor]] = [pytree.tree_leaves(module(*batch)) for batch in batches]
    np.savez(file["outputs"], *(torch.cat(part).numpy() for part in zip(*parts, strict=True)))


if __name__ == "__main__":
    main()
