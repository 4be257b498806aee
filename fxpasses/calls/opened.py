"""Open what a command wrote: a folder, a model file, a report, a recipe, masks or images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from fxpasses.cli.folders.artifacts import INT8_PT2, REPORT_JSON
from fxpasses.cli.folders.folder import open_folder
from fxpasses.errors import InputError

from .run_report import report

PT2, ONNX = ".pt2", ".onnx"


def load(path: str | Path) -> Any:
    """Open what any command wrote.

    | given | returned |
    |---|---|
    | a folder of ``quantize`` or ``prune`` | its model in PyTorch: the int8 graph where there is one |
    | ``.pt2``, ``.fxbits`` | the graph |
    | ``.fxdet`` | the :class:`~fxpasses.detection.Detector` |
    | ``.onnx`` | the file in onnxruntime's CPU provider, as a function of tensors |
    | ``report.json`` | a :class:`~fxpasses.calls.run_report.RunReport` |
    | ``recipe.toml``, ``recipe.json`` | the settings in it; those of ``quantize`` have a ``config`` |
    | any other ``.json`` | a dict |
    | ``masks.safetensors`` | the masks by layer |
    | ``integers.npz`` | the images stored in it |

    Nothing in a file is run or unpickled.

    Raises:
        InputError: there is no such file, it is of another kind, or damaged.
    """
    path = Path(path)
    if path.is_dir():
        return load_model(model_file(path))
    if not path.is_file():
        raise InputError(f"cannot open {path}", why="there is no such file", fix="name a file or folder of fxpasses")
    opener = OPENERS.get(path.suffix)
    if opener is None:
        raise InputError(f"cannot open {path}", why="its name has another ending than what is opened", fix=_KNOWN)
    return opener(path)


def model_file(folder: Path) -> Path:
    """The model of a folder as a ``.pt2`` file: ``model.int8.pt2`` before any other.

    Raises:
        InputError: no command left its files there, or none of them is a model for PyTorch.
    """
    open_folder(folder)
    found = sorted(folder.glob(f"model.*{PT2}"))
    if not found:
        raise InputError(
            f"no model in {folder}",
            why=f"it has no model.*{PT2}",
            fix="make the folder again: fxpasses quantize MODEL --data DATA --out DIR",
        )
    return folder / INT8_PT2 if (folder / INT8_PT2) in found else found[0]


def load_model(path: Path) -> nn.Module:
    """The graph of a ``.pt2`` file of any command: int8, float, of another precision, or a program of ``torch.export``.

    Raises:
        InputError: it is damaged, or nothing of these.
    """
    from fxpasses.export.pt2.lowered import load_lowered
    from fxpasses.export.pt2.plain import load_float_program
    from fxpasses.export.pt2.save_and_load import load as load_graph
    from fxpasses.export.pt2_records.archive import FACTS_ENTRY, read_entries
    from fxpasses.export.pt2_records.facts import facts_table
    from fxpasses.export.pt2_records.records import refusing

    with refusing(path):
        entries = read_entries(path, plain=True)
        facts = facts_table(entries) if FACTS_ENTRY in entries else None
    if facts is None:
        return load_float_program(path)[0]
    return load_lowered(path) if "precision" in facts else load_graph(path)


def precision_of(path: Path) -> str:
    """Precision in a file's name as commands write it: ``int8`` for ``model.int8.onnx``; ``fp32`` if there is none."""
    parts = path.name.split(".")
    return parts[-2] if len(parts) > 2 else "fp32"


def _onnx(path: Path) -> object:
    from fxpasses.measure.runners import onnx_runner

    return onnx_runner(path, precision_of(path))


def _packed(path: Path) -> object:
    from fxpasses.export.packed_file import load_packed

    return load_packed(path)


def _detector(path: Path) -> object:
    from fxpasses.detection.detector import Detector

    return Detector.load(path)


def _json(path: Path) -> object:
    from fxpasses.cli.pruning.recipe import is_recipe, read_recipe
    from fxpasses.formats.documents import read_json

    if path.name == REPORT_JSON:
        return report(path)
    content = read_json(path, "the document", "name a file that fxpasses wrote")
    if is_recipe(content):
        return read_recipe(path)
    return content


def _toml(path: Path) -> object:
    from fxpasses.sensitivity.search.recipe_file import read_recipe

    return read_recipe(path)


def _masks(path: Path) -> object:
    from fxpasses.pruning.masks.masks import Masks

    return Masks.load(path)


def _images(path: Path) -> object:
    from fxpasses.agreement.stored_integers import stored_inputs

    return stored_inputs(path)


OPENERS: Mapping[str, Callable[[Path], object]] = {
    PT2: load_model,
    ".fxbits": _packed,
    ".fxdet": _detector,
    ONNX: _onnx,
    ".json": _json,
    ".toml": _toml,
    ".safetensors": _masks,
    ".npz": _images,
}
"""The function that opens a file, by the end of the file's name."""
_KNOWN = f"name a folder, or a file that ends in {', '.join(OPENERS)}"
