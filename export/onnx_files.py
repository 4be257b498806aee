"""Read ONNX files that come from outside, and load them in onnxruntime: with errors that say what to do."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from fxpasses.errors import InputError

from .session_options import runtime_saturates, set_exact_sums

if TYPE_CHECKING:
    import onnx
    import onnxruntime

METADATA_TARGET = "fxpasses.target"
"""The metadata key under which a file says which target it was made for."""

_EXPORT_AGAIN = "export it again; it may have been cut short"


def read_onnx(path: Path, *, weights: bool = True) -> onnx.ModelProto:
    """The model in ``path`` with its weights, even where they lie in another file.

    Args:
        path: the file.
        weights: whether to read those of another file, too.

    Raises:
        InputError: there is no such file, it is a folder, not ONNX, cut short, or its weights' file is missing.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, format="protobuf", load_external_data=weights)
    except FileNotFoundError as error:
        raise InputError(f"no file {path}", why="there is none of that name", fix="give an .onnx file") from error
    except IsADirectoryError as error:
        raise InputError(f"no file {path}", why="it is a folder", fix="give an .onnx file in it") from error
    except PermissionError as error:
        raise InputError(f"cannot read {path}", why="permission denied", fix="make it readable") from error
    except DecodeError as error:
        raise InputError(f"{path} is not an ONNX file", why=str(error), fix=_EXPORT_AGAIN) from error
    except onnx.checker.ValidationError as error:
        why = f"its weights lie in another file: {error}"
        raise InputError(f"cannot read {path}", why=why, fix="keep both files in one folder") from error
    if not model.graph.node and not model.graph.output:
        raise InputError(f"{path} is not an ONNX file", why="it holds no graph", fix=_EXPORT_AGAIN)
    return model


def metadata(model: onnx.ModelProto) -> dict[str, str]:
    """What the file says of itself: target, hash of the quantization parameters, versions."""
    return {entry.key: entry.value for entry in model.metadata_props}


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the standard operators the file is written in; 0 if it uses none."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)


def start_session(
    path: Path, options: onnxruntime.SessionOptions, providers: tuple[str, ...] = ("CPUExecutionProvider",)
) -> onnxruntime.InferenceSession:
    """Load ``path`` in onnxruntime; on machines where it would saturate, with the option that the file needs.

    Raises:
        InputError: onnxruntime refuses the file; its own words are the reason.
    """
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as refusals

    if runtime_saturates():
        with contextlib.suppress(InputError):  # what cannot be read is refused below, in onnxruntime's words
            set_exact_sums(options, read_onnx(path, weights=False))
    try:
        return ort.InferenceSession(str(path), options, providers=list(providers))
    except (
        refusals.Fail,
        refusals.InvalidArgument,
        refusals.InvalidGraph,
        refusals.InvalidProtobuf,
        refusals.NoSuchFile,
        refusals.NotImplemented,
        refusals.RuntimeException,
    ) as error:
        raise InputError(
            f"onnxruntime {ort.__version__} refuses {path}",
            why=" ".join(str(error).split()),
            fix="export it again at an older opset, or update onnxruntime",
        ) from error
