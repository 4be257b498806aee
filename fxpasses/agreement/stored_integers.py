"""A few images stored with a digest of all integers a model computes for them, to compare machines.

The file is a ``.npz`` of plain arrays: ``input_0`` and so on, float32 ``[N, ...]``, the model's inputs, and
``output_0`` and so on, float32 ``[N, ...]``, its outputs. The digest, in the report, is over all integer tensors and
all outputs. Reading the file never unpickles.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from fxpasses.cpu import cpu_name
from fxpasses.errors import InputError
from fxpasses.export.integer_tensors import OnnxIntegers, torch_integers
from fxpasses.export.plain_arrays import read_arrays, write_arrays
from fxpasses.export.program import example_inputs
from fxpasses.export.torch_int8 import to_torch
from fxpasses.machine.kernel_level import kernel_levels
from fxpasses.signature.outputs import tensors_of
from fxpasses.signature.samples import batch_dims, count_samples, first_of

from .output_steps import lsb_of, output_lsbs

IMAGES = 4
"""Number of images stored with a model: enough to reach every channel, and still a small file."""
_AGAIN = "copy it again, or quantize again"


@dataclass(frozen=True)
class StoredIntegers:
    """Content of the key ``integers`` in the report.

    Attributes:
        cpu: the CPU that computed them.
        kernels: the level of kernels of each runtime there.
        images: number of images.
        exact: whether both runtimes gave bit-equal outputs. They may differ if a net computes in float between
            integers.
        sha256: digest of every integer tensor and every output of PyTorch, in the order of the graph.
    """

    cpu: str
    kernels: Mapping[str, str]
    images: int
    exact: bool
    sha256: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> StoredIntegers:
        """Create an instance from the result of :meth:`to_json`.

        Raises:
            InputError: the keys or values are wrong.
        """
        try:
            exact = found["exact"] is True
            return cls(str(found["cpu"]), dict(found["kernels"]), int(found["images"]), exact, str(found["sha256"]))
        except (KeyError, TypeError, ValueError) as error:
            why = f"its key integers is not what was written: {error!r}"
            raise InputError("report.json", why=why, fix="quantize again") from error


@dataclass(frozen=True)
class StoredComparison:
    """The result of :func:`compare_with_stored`.

    Attributes:
        stored: the stored integers.
        max_lsb: by runtime, the largest difference of an output, in steps of its scale; for floats in 255ths of their
            range.
        same_integers: whether PyTorch gave the same integers at every node and the same outputs, and onnxruntime the
            same outputs.
    """

    stored: StoredIntegers
    max_lsb: Mapping[str, int]
    same_integers: bool

    @property
    def is_broken(self) -> bool:
        """Whether a model that was exact on the machine that made it is not exact here."""
        return self.stored.exact and not self.same_integers

    def to_json(self) -> dict[str, Any]:
        return {"cpu": self.stored.cpu, "same_integers": self.same_integers, "max_lsb": dict(self.max_lsb)}

    def __str__(self) -> str:
        images = f"{self.stored.images} images"
        if self.same_integers:
            return f"the same integers as on {self.stored.cpu} ({images})"
        apart = ", ".join(f"{runtime} by at most {lsb} LSB" for runtime, lsb in self.max_lsb.items())
        return f"other integers than on {self.stored.cpu} ({images}): outputs differ, {apart}"


@torch.inference_mode()
def store_integers(
    gm: fx.GraphModule, module: nn.Module, onnx_path: Path, inputs: tuple[Tensor, ...], path: Path
) -> StoredIntegers:
    """Run a QUANTIZED graph on a few images, and write the images and PyTorch's outputs to ``path``.

    Args:
        gm: the graph.
        module: the result of :func:`fxpasses.export.to_torch` for the graph.
        onnx_path: its ONNX file.
        inputs: float tensors; the first four samples are taken.
        path: of the ``.npz`` file.
    """
    few = first_of(gm, inputs, IMAGES)
    outputs = _outputs(module, few)
    exact = _all_equal(outputs, OnnxIntegers(onnx_path).outputs(few))
    arrays = {f"input_{i}": x.numpy() for i, x in enumerate(few)}
    arrays |= {f"output_{i}": y.numpy() for i, y in enumerate(outputs)}
    write_arrays(path, arrays)
    digest = _digest(torch_integers(module, few), outputs)
    return StoredIntegers(cpu_name(), kernel_levels(gm), count_samples(gm, few), exact, digest)


@torch.inference_mode()
def compare_with_stored(gm: fx.GraphModule, onnx_path: Path, path: Path, stored: StoredIntegers) -> StoredComparison:
    """Run both artifacts of a graph on the images that were stored with it.

    Raises:
        InputError: the file cannot be read, or was not stored for this graph.
    """
    inputs, expected = _read(path)
    why = _why_not_inputs(inputs, gm)
    if why:
        raise InputError(f"{path}", why=why, fix=_AGAIN)
    module = to_torch(gm)
    outputs = {"torch": _outputs(module, inputs), "onnxruntime": OnnxIntegers(onnx_path).outputs(inputs)}
    lsbs = output_lsbs(gm)
    if any([y.shape for y in found] != [y.shape for y in expected] for found in outputs.values()):
        raise InputError(f"{path}", why="it holds outputs of another model", fix=_AGAIN)
    same = _digest(torch_integers(module, inputs), outputs["torch"]) == stored.sha256
    largest = {
        runtime: max(_steps(y, e, lsb) for y, e, lsb in zip(ys, expected, lsbs, strict=True))
        for runtime, ys in outputs.items()
    }
    return StoredComparison(stored, largest, same and _all_equal(outputs["onnxruntime"], expected))


def stored_inputs(path: Path) -> tuple[Tensor, ...]:
    """The images in a file of :func:`store_integers`.

    Raises:
        InputError: the file cannot be read, or is no such file.
    """
    return _read(path)[0]


def _steps(found: Tensor, expected: Tensor, lsb: float | None) -> int:
    if not expected.is_floating_point():
        return int((found != expected).any())
    return int(((found.double() - expected.double()) / lsb_of(lsb, expected)).abs().max().round())


def _all_equal(found: list[Tensor], expected: list[Tensor]) -> bool:
    return len(found) == len(expected) and all(map(torch.equal, found, expected))


def _outputs(module: nn.Module, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    return [tensor.contiguous() for tensor in tensors_of(module(*inputs))]


def _digest(integers: Mapping[str, Tensor], outputs: list[Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in (*integers.values(), *outputs):
        digest.update(repr(tuple(tensor.shape)).encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _read(path: Path) -> tuple[tuple[Tensor, ...], list[Tensor]]:
    arrays = read_arrays(path, _AGAIN)
    found: dict[str, list[Tensor]] = {}
    for kind in ("input", "output"):
        names = [f"{kind}_{i}" for i in range(sum(name.startswith(f"{kind}_") for name in arrays))]
        if not names or not arrays.keys() >= set(names):
            raise InputError(f"cannot read {path}", why=f"not every {kind} is there", fix=_AGAIN)
        found[kind] = [arrays[name] for name in names]
    return tuple(found["input"]), found["output"]


def _why_not_inputs(inputs: tuple[Tensor, ...], gm: fx.GraphModule) -> str | None:
    """Reason why the graph does not accept these inputs, or None."""
    for given, wanted, dim in zip_longest(inputs, example_inputs(gm), batch_dims(gm)):
        if not isinstance(given, Tensor) or not isinstance(wanted, Tensor):
            return "it holds more inputs than the model takes, or fewer"
        if given.dtype != wanted.dtype or given.dim() != wanted.dim() or _sizes(given, dim) != _sizes(wanted, dim):
            return f"it holds inputs of {_kind(given, dim)}, and the model takes {_kind(wanted, dim)}"
        if not given.numel():
            return "it holds no images"
    return None


def _sizes(tensor: Tensor, batch_dim: int | None) -> list[int]:
    return [size for dim, size in enumerate(tensor.shape) if dim != batch_dim]


def _kind(tensor: Tensor, batch_dim: int | None) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {_sizes(tensor, batch_dim)}"
