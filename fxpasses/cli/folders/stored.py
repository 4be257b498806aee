"""Images and integers stored in a folder: they check it on another machine, also if its data is not there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import fx, nn

from fxpasses.agreement.parity_check import ParityReport, parity
from fxpasses.agreement.stored_integers import (
    IMAGES,
    StoredComparison,
    StoredIntegers,
    compare_with_stored,
    store_integers,
    stored_inputs,
)
from fxpasses.errors import InputError
from fxpasses.models.data.data_source import DataSource

from ..terminal import Terminal
from .artifacts import INT8_ONNX, INTEGERS_NPZ
from .folder import DataChoice, data_of

KEY = "integers"
"""Key of the stored integers in report.json."""


def store_in(folder: Path, int8: fx.GraphModule, module: nn.Module, data: DataSource) -> dict[str, Any]:
    """Store a few images of the evaluation split, and the integers that ``module``, the int8 kernels, computes from
    them.

    Returns report.json's entry.
    """
    images = min(IMAGES, data.evaluation_images)
    inputs, _ = next(iter(data.evaluation(images, images)))
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    return {KEY: store_integers(int8, module, folder / INT8_ONNX, given, folder / INTEGERS_NPZ).to_json()}


def compared_with_stored(folder: Path, int8: fx.GraphModule, report: Mapping[str, Any]) -> StoredComparison | None:
    """Compare the artifacts on this machine with the integers stored; None if the folder stores none."""
    if not isinstance(report.get(KEY), Mapping):
        return None
    stored = StoredIntegers.from_json(report[KEY])
    return compare_with_stored(int8, folder / INT8_ONNX, folder / INTEGERS_NPZ, stored)


def data_or_stored(
    folder: Path, report: Mapping[str, Any], other: DataChoice | None, terminal: Terminal
) -> DataSource | None:
    """Open the data of a folder; None, with a remark, if it is not on this machine and the folder stores images.

    Raises:
        InputError: the data cannot be opened, and the folder stores none.
    """
    try:
        return data_of(report, folder, other)
    except InputError as error:
        if other is not None or not (folder / INTEGERS_NPZ).is_file():
            raise
        terminal.remark(f"only the images stored in {folder} are compared: {str(error).splitlines()[0]}")
        return None


def parity_on_stored(folder: Path, int8: fx.GraphModule) -> ParityReport:
    """Compare the folder's artifacts on the images it stores."""
    return parity(int8, [stored_inputs(folder / INTEGERS_NPZ)], onnx_path=folder / INT8_ONNX)


def tell(found: StoredComparison | None, terminal: Terminal) -> list[str]:
    """Print a comparison that keeps the promise, or return the sentence on the promise that is broken."""
    if found is None:
        return []
    if found.is_broken:
        return [str(found)]
    terminal.results.print(str(found), style="green", markup=False)
    return []
