"""Read ONNX files from outside, and load them in onnxruntime, with errors that name a fix."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fxpasses.errors import InputError
from fxpasses.formats.documents import checked
from fxpasses.formats.regular_files import why_not_regular

from .exact_sums import runtime_saturates, set_exact_sums
from .external_weights import why_not_readable
from .onnx_refusals import SILENT, refusals_told

if TYPE_CHECKING:
    import onnx
    import onnxruntime

METADATA_TARGET = "fxpasses.target"
"""Metadata key of the target for which a file was made."""

_EXPORT_AGAIN = "export it again; it may have been cut short"


def read_onnx(path: Path, *, weights: bool = True) -> onnx.ModelProto:
    """The model in ``path`` with its weights, even if these are in another file.

    Args:
        path: the file.
        weights: whether to read weights from another file, too.

    Raises:
        InputError: there is no such file, it is a folder, not ONNX, cut short, or its weights' file is missing.
    """
    import onnx
    from google.protobuf.message import DecodeError

    from fxpasses.formats.metadata import Metadata

    why = why_not_regular(path)
    if why:
        raise InputError(f"no file {path}", why=why, fix="give an .onnx file")
    try:
        model = onnx.load(path, format="protobuf", load_external_data=False)
        problem = why_not_readable(model, path.parent) if weights else None
        if weights and problem is None:
            onnx.load_external_data_for_model(model, str(path.parent))
    except PermissionError as error:
        raise InputError(f"cannot read {path}", why="permission denied", fix="make it readable") from error
    except (DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not an ONNX file", why=str(error), fix=_EXPORT_AGAIN) from error
    except (onnx.checker.ValidationError, ValueError) as error:
        problem = f"its weights lie in another file: {error}"
    if problem is not None:
        raise InputError(f"cannot read {path}", why=problem, fix="keep both files in one folder, as they were written")
    name = _not_utf8(model)
    if name is not None:
        raise InputError(
            f"{path} is not an ONNX file", why=f"the name {name!r} in it is no UTF-8", fix="export it with other names"
        )
    checked(Metadata, metadata(model), path, _EXPORT_AGAIN)
    if not model.graph.node and not model.graph.output:
        raise InputError(f"{path} is not an ONNX file", why="it holds no graph", fix=_EXPORT_AGAIN)
    return model


def _not_utf8(model: onnx.ModelProto) -> bytes | None:
    """A name that is no UTF-8, which protobuf gives as bytes; None if all names are."""
    waiting: list[Any] = [model]
    while waiting:
        for field, value in waiting.pop().ListFields():
            values = value if isinstance(value, Iterable) and not isinstance(value, str | bytes) else [value]
            if field.type == field.TYPE_MESSAGE:
                waiting.extend(values)
            elif field.type == field.TYPE_STRING:
                for found in values:
                    if isinstance(found, bytes):
                        return found
    return None


def metadata(model: onnx.ModelProto) -> dict[str, str]:
    """The metadata in the file: target, hash of the quantization parameters, versions."""
    return {entry.key: entry.value for entry in model.metadata_props}


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the standard operators in the file; 0 if it uses none."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)


def start_session(
    path: Path, options: onnxruntime.SessionOptions, providers: tuple[str, ...] = ("CPUExecutionProvider",)
) -> onnxruntime.InferenceSession:
    """Load ``path`` in onnxruntime; on machines where it would saturate, with the option that the file needs.

    Raises:
        InputError: onnxruntime refuses the file; its message is the reason.
    """
    import onnxruntime as ort

    if runtime_saturates():
        with contextlib.suppress(InputError):  # a file that cannot be read is refused by onnxruntime below
            set_exact_sums(options, read_onnx(path, weights=False))
    options.log_severity_level = SILENT
    what, fix = (
        f"onnxruntime {ort.__version__} refuses {path}",
        "export it again at an older opset, or update onnxruntime",
    )
    written = options.optimized_model_filepath
    with refusals_told(what, fix, Path(written) if written else None):
        return ort.InferenceSession(str(path), options, providers=list(providers))
