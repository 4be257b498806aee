"""A model repository of NVIDIA's Triton Inference Server: ``NAME/config.pbtxt``, labels, and ``NAME/1/model.onnx``.

Triton's onnxruntime backend sets no session entries but one of its own. A file that needs another is served all the
same, with the promised integers where onnxruntime sums exactly: on CPUs with VNNI, on ARM. The remark says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from fxpasses.errors import InputError
from fxpasses.export.files import staged_folder

from .deployed_model import DeployedModel, TensorSpec
from .model_file import copy_model

LABELS = "labels.txt"
VERSION = "1"
TYPES = {
    **{"bool": "TYPE_BOOL", "float16": "TYPE_FP16", "float32": "TYPE_FP32", "float64": "TYPE_FP64"},
    **{f"uint{bits}": f"TYPE_UINT{bits}" for bits in (8, 16, 32, 64)},
    **{f"int{bits}": f"TYPE_INT{bits}" for bits in (8, 16, 32, 64)},
}
"""Triton's name of each numpy type."""


def write_triton(
    repository: Path, model: DeployedModel, *, max_batch: int = 8, threads: int = 1, queue: int = 64
) -> tuple[str, ...]:
    """Add a model to a repository, and return remarks on differences between Triton and this package.

    Args:
        repository: the folder that ``tritonserver --model-repository`` is given.
        model: the model to serve.
        max_batch: largest number of rows that Triton computes together, if the model's batch size is free.
        threads: number of threads that one instance computes on.
        queue: largest number of waiting requests; Triton refuses more.

    Raises:
        InputError: the folder cannot be written, or a type is none of Triton's.
    """
    config = "\n".join(_config(model, max_batch if model.is_batched else 0, threads, queue)) + "\n"
    with staged_folder(repository) as stage:
        folder = stage / model.name
        (folder / VERSION).mkdir(parents=True)
        copy_model(model.path, folder / VERSION / "model.onnx")
        (folder / "config.pbtxt").write_text(config, encoding="utf-8")
        if model.labels:
            (folder / LABELS).write_text("\n".join(_one_line(label) for label in model.labels) + "\n", encoding="utf-8")
    return tuple(_remarks(model))


def _remarks(model: DeployedModel) -> Iterator[str]:
    if model.session_options:
        entries = ", ".join(f"{key}={value}" for key, value in model.session_options.items())
        yield (
            f"Triton cannot set {entries}, which this file needs on x86 CPUs without VNNI: there its integers are "
            "others; a model made for target x86-avx2 needs no option"
        )


def _config(model: DeployedModel, max_batch: int, threads: int, queue: int) -> Iterator[str]:
    """Lines of the model's configuration."""
    yield f"name: {_text(model.name)}"
    yield 'backend: "onnxruntime"'
    yield 'default_model_filename: "model.onnx"'
    yield f"max_batch_size: {max_batch}"
    for spec in model.inputs:
        yield f"input {{ {_tensor(spec, batched=max_batch > 0)} }}"
    for number, spec in enumerate(model.outputs):
        labels = f" label_filename: {_text(LABELS)}" if number == 0 and model.labels else ""
        yield f"output {{ {_tensor(spec, batched=max_batch > 0)}{labels} }}"
    yield "instance_group { kind: KIND_CPU count: 1 }"
    yield "optimization { graph { level: 1 } }"
    if max_batch:
        yield (
            "dynamic_batching { max_queue_delay_microseconds: 1000 "
            f"default_queue_policy {{ max_queue_size: {queue} }} }}"
        )
    for key, value in (("intra_op_thread_count", threads), ("inter_op_thread_count", 1), ("execution_mode", 0)):
        yield f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}'


def _tensor(spec: TensorSpec, *, batched: bool) -> str:
    if spec.dtype not in TYPES:
        raise InputError(
            f"{spec.name!r} is of {spec.dtype}",
            why="Triton has no such type",
            fix=f"give the model inputs and outputs of {', '.join(TYPES)}",
        )
    sizes = [size if isinstance(size, int) else -1 for size in spec.shape[1 if batched else 0 :]]
    text = f"name: {_text(spec.name)} data_type: {TYPES[spec.dtype]} dims: {sizes or [1]}"
    return text if sizes else f"{text} reshape {{ shape: [] }}"


def _text(value: str) -> str:
    """A string in protobuf's text format, quoted and escaped."""
    return json.dumps(value, ensure_ascii=False)


def _one_line(label: str) -> str:
    return " ".join(label.split()) or "_"
