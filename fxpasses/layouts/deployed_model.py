"""Description of a deployed model: its ONNX file, inputs, outputs, labels, and the preprocessing of images.

Everything is read from the folder that ``fxpasses quantize`` wrote, without torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fxpasses.errors import InputError
from fxpasses.export.exact_sums import options_of_file
from fxpasses.export.onnx_reader import read_onnx
from fxpasses.formats.documents import checked, read_json
from fxpasses.formats.report import Report

from .class_names import class_names

if TYPE_CHECKING:
    import onnx

REPORT = "report.json"
_AGAIN = "make the folder again: fxpasses quantize MODEL --data DATA --out DIR"
_STRETCHED = ("segmentation", "coco")
"""Kinds of data whose images are scaled whole, without a crop, since their labels have positions."""


@dataclass(frozen=True)
class TensorSpec:
    """One input or output.

    Attributes:
        name: its name in the ONNX file.
        dtype: numpy's name of its type, ``"float32"``.
        shape: sizes; a free size is given by its name in the file, ``"batch"``, or an empty text if it has none.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class ImageInput:
    """Preprocessing of an image to the input: ``(pixel / 255 - mean) / std`` at ``shape``, ``(C, H, W)``.

    ``crop`` cuts the centre out of an image that has another size; without it, all of the image is scaled.
    """

    shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop: bool = True


@dataclass(frozen=True)
class DeployedModel:
    """A quantized model, described for servers and layouts.

    Attributes:
        name: a part of paths and addresses, made of letters, digits, ``_``, ``-`` and ``.``.
        path: the ONNX file.
        inputs: the inputs, in order.
        outputs: the outputs, in order.
        labels: names of the classes in the order of the logits; empty if unknown.
        image: preprocessing of an image to the input; None if the model takes no images.
        session_options: config entries that onnxruntime needs on x86 CPUs without VNNI, see
            :mod:`fxpasses.export.exact_sums`.
        float_path: the float ONNX file in the same folder, if there is one.
        about: further facts from the report, as text: target, method.
    """

    name: str
    path: Path
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    labels: tuple[str, ...] = ()
    image: ImageInput | None = None
    session_options: Mapping[str, str] = field(default_factory=dict)
    float_path: Path | None = None
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_batched(self) -> bool:
        """Whether the first dimension of every input and output is the same free size, which is the batch size."""
        first = {spec.shape[0] if spec.shape else 1 for spec in (*self.inputs, *self.outputs)}
        return len(first) == 1 and isinstance(next(iter(first)), str)

    @property
    def has_other_free_sizes(self) -> bool:
        """Whether a size other than the batch size is free, such as a height, a width, or the length of a text."""
        start = 1 if self.is_batched else 0
        return any(isinstance(size, str) for spec in self.inputs for size in spec.shape[start:])


def deployed_model(folder: Path, name: str | None = None) -> DeployedModel:
    """The model of a folder that ``fxpasses quantize`` wrote.

    Args:
        folder: it holds report.json and the ONNX files that it names.
        name: what the model is called; by default as the report does.

    Raises:
        InputError: there is no such folder, a file in it is missing or damaged, or the name is no part of an address.
    """
    if not folder.is_dir():
        why = "it is a file" if folder.exists() else "it does not exist"
        raise InputError(f"cannot open the folder {folder}", why=why, fix="name a folder that fxpasses quantize wrote")
    report = checked(Report, read_json(folder / REPORT, "the report", _AGAIN), folder / REPORT, _AGAIN)
    files = {v.precision: v.file for v in report.variants if v.runtime == "onnxruntime" and v.file}
    made = next((file for precision, file in files.items() if precision != "fp32"), None)
    if made is None:
        raise InputError(f"{folder / REPORT} names no quantized ONNX file", why="no variant has one", fix=_AGAIN)
    path, float_path = _beside(folder, made), _beside(folder, files["fp32"]) if "fp32" in files else None
    model = read_onnx(path, weights=False)
    about = {"target": report.target or "", "method": report.method or "static"}
    labels = () if report.data_details is None else class_names(report.data_details.spec, report.data_details.labels)
    outputs = _specs(model.graph.output)
    return DeployedModel(
        name=checked_name(name if name is not None else default_name(report.model)),
        path=path,
        inputs=_specs(_given(model)),
        outputs=outputs,
        labels=labels if outputs and _classes(outputs[0]) == len(labels) else (),
        image=_image_input(report),
        session_options=options_of_file(model),
        float_path=float_path if float_path is not None and float_path.is_file() else None,
        about={key: value for key, value in about.items() if value},
    )


def default_name(spec: str) -> str:
    """The default name of a model, from its name on the command line: ``resnet18`` for ``torchvision/resnet18``."""
    last = spec.replace("\\", "/").rstrip("/").rpartition("/")[2].partition(":")[0]
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_-.") else "_" for c in last).strip(".")
    return kept or "model"


def checked_name(name: str) -> str:
    """Return the name; raise InputError for a name that cannot be a part of a path or an address."""
    if name != default_name(name) or len(name) > 100:
        raise InputError(
            f"the model name {name!r}",
            why="it becomes a part of paths and addresses",
            fix=f"use letters, digits, _, - and ., at most 100: {default_name(name)[:100]!r}",
        )
    return name


def _beside(folder: Path, name: str) -> Path:
    """The path of a file in the folder; file names in a report cannot lead out of the folder."""
    if Path(name).name != name:
        raise InputError(f"{folder / REPORT}: the file {name!r}", why="it is no name in that folder", fix=_AGAIN)
    return folder / name


def _given(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Inputs that a caller gives; weights, which a file may also list as inputs, are left out."""
    held = {initializer.name for initializer in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in held]


def _specs(values: Any) -> tuple[TensorSpec, ...]:
    return tuple(_spec(value) for value in values)


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    import onnx

    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or tensor.elem_type == onnx.TensorProto.STRING:
        raise InputError(
            f"{value.name!r} is no tensor of numbers", why="its type in the ONNX file is another", fix=_AGAIN
        )
    shape = tuple(d.dim_value if d.HasField("dim_value") else d.dim_param for d in tensor.shape.dim)
    return TensorSpec(value.name, str(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)), shape)


def _classes(spec: TensorSpec) -> int | str | None:
    return spec.shape[-1] if len(spec.shape) == 2 else None


def _image_input(report: Report) -> ImageInput | None:
    """The preprocessing of images; None if the model reads no images, or the report does not describe it."""
    details = report.model_details
    if details is None or details.vocabulary is not None or len(details.inputs or []) > 1:
        return None
    if len(details.input_shape) != 3 or details.input_shape[0] not in (1, 3):
        return None
    channels, height, width = details.input_shape
    kind = "" if report.data_details is None else report.data_details.spec.partition("=")[0]
    mean, std = details.preprocessing.mean, details.preprocessing.std
    return ImageInput((channels, height, width), tuple(mean), tuple(std), crop=kind not in _STRETCHED)
