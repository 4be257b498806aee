"""Make a bundle of the folder that a quantization left."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fxpasses.export.exact_sums import options_of_file
from fxpasses.export.onnx_reader import metadata
from fxpasses.quantization.numbers.targets import AUTO

from . import contents
from .archive import sha256, write_archive
from .class_names import class_names
from .device_target import device_target, platform_of
from .expected_outputs import expected_outputs
from .hugging_face_files import model_config, preprocessor_config
from .image.image_graph import image_graph
from .image.image_input import ImageInput, image_input
from .model_card import model_card
from .ort_format import convert_to_ort
from .self_test import SelfTest, self_test
from .source_folder import METADATA_QPARAMS, SourceFolder, read_source

if TYPE_CHECKING:
    import onnx

BUNDLE_VERSION = 1
NO_PIXELS = "the stored inputs are no images made by (pixel / 255 - mean) / std with the report's mean and std"
_VERSIONS = ("fxpasses", "torch", "onnx", "onnxruntime")


@dataclass(frozen=True)
class BundleSettings:
    """Settings of a bundle.

    Attributes:
        target: ``"auto"`` is the target that the model was quantized for.
        labels: names of the classes, as ``labels.json`` of ``images=DIR``; by default those of the data.
        license: of the model, as its card is to say.
        resize: whether the image graph takes images of any size, and scales and crops them.
    """

    target: str = AUTO
    labels: Path | None = None
    license: str | None = None
    resize: bool = False


@dataclass(frozen=True)
class MadeBundle:
    """A new bundle: the content of its ``bundle.json``, and the result of the self-test on this machine."""

    about: Mapping[str, Any]
    self_test: SelfTest

    def to_json(self) -> dict[str, Any]:
        return {**self.about, "self_test": asdict(self.self_test)}


def write_bundle(folder: str | Path, out: str | Path, settings: BundleSettings | None = None) -> MadeBundle:
    """Make a zip that runs the model of a folder without this toolkit.

    Args:
        folder: what ``fxpasses quantize --out`` wrote.
        out: the zip; it is replaced, all or nothing.
        settings: defaults to ``BundleSettings()``.

    Raises:
        InputError: the folder cannot be used, the target does not fit its model, or the zip cannot be written.
    """
    settings = settings or BundleSettings()
    source = read_source(Path(folder))
    with tempfile.TemporaryDirectory(prefix="fxpasses-bundle-") as made:
        about = fill_folder(source, Path(made), settings)
        found = self_test(Path(made))
        write_archive(Path(made), Path(out))
    return MadeBundle(about, found)


def fill_folder(source: SourceFolder, folder: Path, settings: BundleSettings) -> dict[str, Any]:
    """Write every file of a bundle into an empty folder; returns ``bundle.json``."""
    target = device_target(settings.target, source.made_for)
    classes = _classes(source.int8)
    names = class_names(source.report, classes, settings.labels)
    image = image_input(source.report, any_size=settings.resize)
    expected = expected_outputs(source.graph, source.integers, image if isinstance(image, ImageInput) else None)
    if isinstance(image, ImageInput) and expected.pixels is None:
        image = NO_PIXELS
    write_models(source, folder, _added(names, settings), image if isinstance(image, ImageInput) else None)
    convert_models(folder, platform_of(target))
    expected.write(folder / contents.EXPECTED)
    _write_data(source, folder, classes, names, image)
    about = _about(source, settings, target.name, classes, image)
    about["files"] = {path.name: _entry(path) for path in sorted(folder.iterdir())}
    card = folder / contents.CARD
    card.write_text(model_card(about, source.report, None if names is None else len(names)), encoding="utf-8")
    about["files"][contents.CARD] = _entry(card)
    _write_json(folder / contents.ABOUT, about)
    return about


def write_models(source: SourceFolder, folder: Path, added: Mapping[str, str], image: ImageInput | None) -> None:
    """Write the ONNX files, each with the added metadata."""
    models = {contents.INT8_ONNX: source.int8, contents.FLOAT_ONNX: source.float32}
    if image is not None:
        models[contents.IMAGE_ONNX] = image_graph(source.int8, image)
    for name, model in models.items():
        copied = type(model)()
        copied.CopyFrom(model)
        for key, value in added.items():
            copied.metadata_props.add(key=key, value=value)
        (folder / name).write_bytes(copied.SerializeToString(deterministic=True))


def convert_models(folder: Path, platform: str) -> None:
    """The int8 models in ORT format, and the operators of both."""
    with tempfile.TemporaryDirectory(prefix="fxpasses-ort-") as temporary:
        for name in (contents.INT8_ONNX, contents.IMAGE_ONNX):
            if (folder / name).is_file():
                shutil.copyfile(folder / name, Path(temporary) / name)
        convert_to_ort(Path(temporary), platform)
        for name in (contents.INT8_ORT, contents.IMAGE_ORT, contents.OPERATORS):
            if (Path(temporary) / name).is_file():
                shutil.copyfile(Path(temporary) / name, folder / name)


def _write_data(
    source: SourceFolder, folder: Path, classes: int | None, names: list[str] | None, image: ImageInput | str
) -> None:
    """Write labels and preprocessing as data files, and the program ``run.py``."""
    known = image if isinstance(image, ImageInput) else None
    _write_json(
        folder / contents.HF_CONFIG, model_config(without_folder(source.report["model"]), classes, names, known)
    )
    if names is not None:
        _write_json(folder / contents.NAMES, _numbered(names))
    if known is not None:
        _write_json(folder / contents.HF_PREPROCESSOR, preprocessor_config(known))
    shutil.copyfile(Path(__file__).with_name(contents.RUN), folder / contents.RUN)


def _about(
    source: SourceFolder, settings: BundleSettings, target: str, classes: int | None, image: ImageInput | str
) -> dict[str, Any]:
    """The content of ``bundle.json``, without the list of files."""
    report, versions = source.report, source.report["environment"]["versions"] or {}
    graph = source.int8.graph
    return {
        "bundle_version": BUNDLE_VERSION,
        "model": without_folder(report["model"]),
        "data": None if report["data"] is None else without_folder(report["data"]),
        "target": target,
        "made_for": source.made_for,
        "created": report.get("created"),
        "license": settings.license,
        "qparams_sha256": metadata(source.int8)[METADATA_QPARAMS],
        "versions": {name: versions.get(name) for name in _VERSIONS},
        "session_options": options_of_file(source.int8),
        "inputs": [_tensor(value) for value in graph.input],
        "outputs": [_tensor(value) for value in graph.output],
        "classes": classes,
        "image": image.to_json() if isinstance(image, ImageInput) else None,
        "why_no_image": None if isinstance(image, ImageInput) else image,
    }


def without_folder(spec: str) -> str:
    """A model or data as the command line spells it, without the folders of the machine it was made on."""
    kind, equals, argument = spec.partition("=")
    return kind + equals + Path(argument).name if equals else Path(kind).name


def _added(names: list[str] | None, settings: BundleSettings) -> dict[str, str]:
    """Entries for the metadata of ONNX files: class names, under a key that other tools read, and the licence."""
    added = {} if names is None else {"names": json.dumps(_numbered(names), ensure_ascii=False)}
    return added if settings.license is None else added | {"model_license": settings.license}


def _classes(model: onnx.ModelProto) -> int | None:
    """The number of logits in a row of the first output; None if the output is not ``[batch, logits]``."""
    sizes = _tensor(model.graph.output[0])["shape"]
    return sizes[1] if len(sizes) == 2 and isinstance(sizes[1], int) else None


def _tensor(value: onnx.ValueInfoProto) -> dict[str, Any]:
    from onnx import TensorProto

    tensor = value.type.tensor_type
    shape = [size.dim_param or (size.dim_value if size.HasField("dim_value") else None) for size in tensor.shape.dim]
    return {"name": value.name, "dtype": TensorProto.DataType.Name(tensor.elem_type).lower(), "shape": shape}


def _numbered(names: list[str]) -> dict[str, str]:
    return {str(number): name for number, name in enumerate(names)}


def _entry(path: Path) -> dict[str, Any]:
    return {"sha256": sha256(path), "bytes": path.stat().st_size}


def _write_json(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
