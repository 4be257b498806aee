"""The folder that a quantization writes: its report, and how its model and its data are found again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fxpasses.errors import InputError
from fxpasses.formats.documents import named
from fxpasses.models.data.data_source import DataSource
from fxpasses.models.datasets import home_expanded, open_dataset
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.model_input import ModelInput, Preprocessing, without_dim
from fxpasses.models.users.user_code import is_user_code
from fxpasses.models.users.user_data import UserBatches
from fxpasses.models.users.user_source import UserSource
from fxpasses.models.zoo import load_model

from . import pt2_model
from .artifacts import QUANTIZE_AGAIN, REPORT_HTML, REPORT_JSON
from .batch_places import placed_data, with_batch_dims
from .detectors import with_layers_alone


@dataclass(frozen=True)
class ModelChoice:
    """The model that the options of a command name."""

    spec: str
    weights: Path | None = None
    seed: int = 0
    image_size: int | None = None
    weights_key: str | None = None

    def load(self) -> LoadedModel:
        if self.weights_key is not None and self.weights is None:
            raise InputError(
                "--weights-key without --weights", why="it is a key in that file", fix="give --weights FILE"
            )
        if self.spec.endswith(pt2_model.ENDING):
            return with_batch_dims(pt2_model.program_model(self.spec, self.weights, self.image_size))
        size, key = self.image_size, self.weights_key
        loaded = load_model(self.spec, self.weights, self.seed, image_size=size, weights_key=key)
        return with_batch_dims(with_layers_alone(loaded))

    def details(self, model: LoadedModel) -> dict[str, object]:
        """report.json's ``model_details``: enough to load the model again, from any folder."""
        return {
            "spec": _absolute(self.spec),
            "weights": None if self.weights is None else str(self.weights.resolve()),
            "weights_sha256": None if self.weights is None else _sha256(self.weights),
            **({} if self.weights_key is None else {"weights_key": self.weights_key}),
            "seed": self.seed,
            "image_size": self.image_size,
            "pretrained": model.pretrained,
            "input_shape": list(model.input_shape),
            "preprocessing": {"mean": list(model.preprocessing.mean), "std": list(model.preprocessing.std)},
            "vocabulary": model.vocabulary,
            **_inputs_of(model),
            "torch_fp32": "the captured graph with BatchNorms folded",
        }


@dataclass(frozen=True)
class DataChoice:
    """The data that the options of a command name, and the metric to measure on it."""

    spec: str
    labels: Path | None = None
    metric: str | None = None

    def details(self) -> dict[str, object]:
        """report.json's ``data_details``, as far as they are known here."""
        metric = {} if self.metric is None else {"metric": _absolute(self.metric)}
        labels = None if self.labels is None else str(self.labels.resolve())
        return {"spec": _absolute(self.spec), "labels": labels, **metric}


def open_folder(folder: Path) -> dict[str, Any]:
    """Read the report of a folder. If a run was killed while it moved its files there, the folder is completed first.

    Raises:
        InputError: there is no such folder, or no report in it.
    """
    from fxpasses.export.files import finish_killed
    from fxpasses.reports.document import read_report

    if not folder.is_dir():
        why = "it is a file" if folder.exists() else "it does not exist"
        raise InputError(f"cannot open the folder {folder}", why=why, fix="name a folder that fxpasses quantize wrote")
    finish_killed(folder)
    if not (folder / REPORT_JSON).is_file():
        raise InputError(
            f"no {REPORT_JSON} in {folder}", why="no quantization left its files there", fix=QUANTIZE_AGAIN
        )
    return dict(read_report(folder / REPORT_JSON))


def require_static(report: Mapping[str, Any], folder: Path, what: str) -> None:
    """Raise InputError unless the folder holds a static int8 model; ``what`` names the comparison that needs one."""
    method = report.get("method", "static")
    if method != "static":
        raise InputError(
            f"{what} of {folder}",
            why=f"it was made with --method {method}; only static int8 models have integers and kernels to compare",
            fix=f"read {REPORT_JSON} there: it has the latency, and how far both runtimes agree",
        )


def update_report(report: Mapping[str, Any], folder: Path) -> None:
    """Write report.json and report.html again: both or neither."""
    from fxpasses.export.files import staged_folder
    from fxpasses.reports.document import write_report
    from fxpasses.reports.html.page import write_html

    with staged_folder(folder) as stage:
        write_report(report, stage / REPORT_JSON)
        write_html(report, stage / REPORT_HTML)


def model_of(report: Mapping[str, Any], folder: Path) -> LoadedModel:
    """Load the float model of a report again.

    Raises:
        InputError: the report does not name the model, or the model or its weights are missing or have changed.
    """
    details = _details(report, "model_details", folder)
    weights = None if details["weights"] is None else folder / details["weights"]
    model = ModelChoice(
        details["spec"], weights, details["seed"], details["image_size"], details.get("weights_key")
    ).load()
    if weights is not None and _sha256(weights) != details["weights_sha256"]:
        raise InputError(f"{weights} has changed", why="its content is not what was quantized", fix=QUANTIZE_AGAIN)
    return model


def input_of(report: Mapping[str, Any], folder: Path) -> ModelInput:
    """The model's input: shapes, names and preprocessing, read from the report without loading the model."""
    details = _details(report, "model_details", folder)
    given = details["preprocessing"]
    inputs = details.get("inputs") or []
    dims = tuple(each.get("batch_dim", 0) for each in inputs)
    return ModelInput(
        tuple(details["input_shape"]),
        Preprocessing(tuple(given["mean"]), tuple(given["std"])),
        tuple(tuple(each["shape"]) for each in inputs[1:]),
        tuple(each["name"] for each in inputs if each["name"] is not None),
        dims if any(dims) else (),
    )


def model_details(report: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """report.json's ``model_details``.

    Raises:
        InputError: the report has none.
    """
    return _details(report, "model_details", folder)


def _inputs_of(model: LoadedModel) -> dict[str, object]:
    """Names, shapes, dtypes and ranges of the caller's example inputs; empty if there are none."""
    if not model.examples:
        return {}
    names = model.input_names or (None,) * len(model.examples)
    return {
        "inputs": [
            {
                "name": name,
                "shape": list(without_dim(tuple(x.shape), dim)),
                **({"batch_dim": dim} if dim else {}),
                "dtype": str(x.dtype).removeprefix("torch."),
                "low": float(x.min()) if x.numel() else 0.0,
                "high": float(x.max()) if x.numel() else 0.0,
            }
            for name, x, dim in zip(names, model.examples, model.example_dims, strict=True)
        ]
    }


def data_of(report: Mapping[str, Any], folder: Path, other: DataChoice | None = None) -> DataSource:
    """Open the data of a report, or other data, for the model of the report."""
    given = input_of(report, folder)
    if other is None:
        details = _details(report, "data_details", folder)
        other = DataChoice(details["spec"], None if details["labels"] is None else Path(details["labels"]))
        with named(folder / REPORT_JSON, "data_details"):
            source = open_dataset(other.spec, given, other.labels)
        if isinstance(source, UserBatches | UserSource) and details.get("metric"):
            source = source.with_any_labels()
        return placed_data(source, given)
    return placed_data(open_dataset(other.spec, given, other.labels), given)


def _details(report: Mapping[str, Any], key: str, folder: Path) -> Mapping[str, Any]:
    details = report.get(key)
    if not isinstance(details, Mapping) or "spec" not in details:
        raise InputError(
            f"{folder / REPORT_JSON} does not say what was quantized", why=f"it has no {key}", fix=QUANTIZE_AGAIN
        )
    return details


def _absolute(spec: str) -> str:
    """Make the path in ``cifar10=DIR`` or ``file.py:factory`` absolute, so that the spec means the same in every
    folder.
    """
    if is_user_code(spec) or spec.endswith(pt2_model.ENDING):
        return os.path.abspath(spec)  # noqa: PTH100 - path and factory together are not a path
    kind, equals, argument = spec.partition("=")
    if not equals or kind == "random":
        return spec
    return f"{kind}={home_expanded(argument, spec).resolve()}"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
