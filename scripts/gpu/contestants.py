"""Contestants of the benchmark: each returns a call that computes one batch, or says why it cannot."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

import fxpasses

from .ort_profile import profiled
from .plan import COMPILED, EAGER, INT8, ONNXRUNTIME, Work
from .prepared import float_net, images, quantized

Call = Callable[[], object]


class MissingError(Exception):
    """A contestant cannot run here; its text says why."""


def contestant(work: Work, device: str, image: int, folder: Path | None) -> tuple[Call, dict[str, object]]:
    """The call of a contestant, and facts to report beside its time.

    Raises:
        MissingError: it cannot run here.
    """
    if work.rival == INT8:
        return _int8(work, device, image, folder)
    if work.rival in ONNXRUNTIME:
        return _onnxruntime(work, image, folder)
    if work.rival in COMPILED and not device.startswith("cuda"):
        raise MissingError("it is compiled for a GPU, and there is none")
    return _torch(work, device, image)


def _int8(work: Work, device: str, image: int, folder: Path | None) -> tuple[Call, dict[str, object]]:
    tuned = device.startswith("cuda")
    net: Any = fxpasses.export.to_torch(quantized(work.net, image, folder), "cuda", device=device, autotune=tuned)
    x = images(work.batch, image).to(device).contiguous(memory_format=torch.channels_last)
    return (lambda: net(x)), {"notes": list(net.notes)}


def _torch(work: Work, device: str, image: int) -> tuple[Call, dict[str, object]]:
    dtype = getattr(torch, (COMPILED | EAGER)[work.rival])
    if device == "cpu" and dtype is torch.float16:
        raise MissingError("halves are for a GPU, and there is none")
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = "TF32" in work.rival
    net: nn.Module = fxpasses.fuse(fxpasses.capture(float_net(work.net, image), (images(2, image),)))
    net = net.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]  # as torch documents
    if work.rival in COMPILED:
        net = torch.compile(net, mode="max-autotune-no-cudagraphs", dynamic=False)  # type: ignore[assignment]  # is one
    x = images(work.batch, image).to(device=device, dtype=dtype).contiguous(memory_format=torch.channels_last)

    def call() -> object:
        with torch.inference_mode():
            return net(x)

    return call, {}


def _onnxruntime(work: Work, image: int, folder: Path | None) -> tuple[Call, dict[str, object]]:
    if importlib.util.find_spec("onnxruntime") is None:
        raise MissingError("onnxruntime is not installed")
    import onnxruntime

    form, provider = ONNXRUNTIME[work.rival]
    if provider not in onnxruntime.get_available_providers():
        raise MissingError(f"this onnxruntime has no {provider}")
    path = None if folder is None else folder / f"{work.net}-{image}.{form}.onnx"
    if path is None or not path.exists():
        raise MissingError("its file was not prepared: bench_cuda.py --prepare DIR, then --from DIR")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.enable_profiling = True
    options.profile_file_prefix = str(Path(tempfile.gettempdir()) / "bench_cuda")
    session = onnxruntime.InferenceSession(str(path), options, providers=[provider, "CPUExecutionProvider"])
    binding, x = session.io_binding(), images(work.batch, image).numpy()
    binding.bind_ortvalue_input(session.get_inputs()[0].name, onnxruntime.OrtValue.ortvalue_from_numpy(x, "cuda", 0))
    binding.bind_output(session.get_outputs()[0].name, "cuda")

    def call() -> None:
        session.run_with_iobinding(binding)

    return call, {"providers": session.get_providers(), "kernels": profiled(session, call)}
