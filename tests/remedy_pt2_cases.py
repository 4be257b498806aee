"""Errors of ``.pt2`` files: what raises one, a part of its remedy, and the remedy taken."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import torch
from remedy_export_cases import AIRY, After, after, in_torch
from remedy_subjects import Case, through_torch_save
from remedy_subjects import X as ROWS
from tiny_graphs import quantized
from torch import Tensor, nn

import fxpasses
from fxpasses.export import load, save

PT2 = "export/pt2"


def with_facts(path: Path, **facts: Any) -> Path:
    """The saved graph with other facts in it."""
    other = path.with_name("other.pt2")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(other, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename.endswith("fxpasses.json"):
                content = json.dumps(json.loads(content) | facts).encode()
            new.writestr(entry, content)
    shutil.move(other, path)
    return path


def saved(folder: Path) -> Path:
    return save(quantized("conv_bn_relu"), folder / "m.pt2")


class Cast(nn.Module):
    def forward(self, x: Tensor, kind: torch.dtype = torch.float64) -> Tensor:
        return x.to(kind)


PT2_CASES: dict[str, Case] = {
    f"{PT2}/plain_names.py:check_structure": (
        lambda folder: save(after(lambda y: {"a'b": y}), folder / "m.pt2"),
        "return tensors, tuples, lists, or dicts whose keys are words",
        lambda folder: save(after(lambda y: {"ab": y}), folder / "m.pt2"),
    ),
    f"{PT2}/readable.py:require_readable": (
        lambda folder: save(after(torch.special.airy_ai), folder / "m.pt2"),
        f"save(graph, path, operators={AIRY}), load(path, operators={AIRY})",
        lambda folder: in_torch(after(torch.special.airy_ai), folder, AIRY),
    ),
    f"{PT2}/readable.py:_unreadable": (
        lambda folder: save(after(lambda y: (y * 1j).abs()), folder / "m.pt2"),
        "torch.save(graph, 'graph.pt') keeps it as a pickle",
        lambda folder: through_torch_save(after(lambda y: (y * 1j).abs()), folder)(ROWS),
    ),
    "export/pt2_records/examples.py:_json": (
        lambda folder: save(fxpasses.capture(Cast().eval(), (ROWS, torch.float64)), folder / "m.pt2"),
        "wrap the model in a module that has that value, and takes the rest",
        lambda folder: save(fxpasses.capture(After(Cast()).eval(), ROWS), folder / "m.pt2"),
    ),
    "export/pt2_records/records.py:refusing#2": (
        lambda folder: load(with_facts(saved(folder), recipe='{"target": "abacus"}')),
        "save the model again",
        lambda folder: load(saved(folder)),
    ),
    "export/pt2_records/records.py:refusing#3": (
        lambda folder: load(with_facts(saved(folder), names=["x_int8"])),
        "save the model again",
        lambda folder: load(saved(folder)),
    ),
}
