"""Files and modules made from a QUANTIZED graph, and tools that compare and measure them.

Names are loaded at first use, as in the parent package: accessing ``fx.export.to_onnx`` imports the exporter.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if __name__ != "fxpasses.export":
    raise ImportError("import this package as fxpasses.export: its folder stands beside fxpasses/ in the repository")

if TYPE_CHECKING:
    from fxpasses.agreement.parity_check import parity as parity
    from fxpasses.calls.audited_file import audit as audit
    from fxpasses.calls.timed import bench as bench
    from fxpasses.comparing.difference import diff as diff

    from .onnx_writer.write import to_onnx as to_onnx
    from .program import exported_program as exported_program
    from .pt2.save_and_load import load as load
    from .pt2.save_and_load import save as save
    from .torch_int8 import to_torch as to_torch

_HOMES = {
    "diff": "fxpasses.comparing.difference",
    "audit": "fxpasses.calls.audited_file",
    "bench": "fxpasses.calls.timed",
    "exported_program": "fxpasses.export.program",
    "load": "fxpasses.export.pt2.save_and_load",
    "parity": "fxpasses.agreement.parity_check",
    "save": "fxpasses.export.pt2.save_and_load",
    "to_onnx": "fxpasses.export.onnx_writer.write",
    "to_torch": "fxpasses.export.torch_int8",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(_HOMES)
