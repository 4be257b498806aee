"""A model folder of MLflow's onnx flavor: ``MLmodel`` and requirements beside ``model.onnx``.

MLflow passes the session entries that the file needs on to onnxruntime, so that a server of MLflow's gives the promised
integers, too. The YAML files are written as JSON, which is YAML.
"""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fxpasses.export.files import staged_folder

from .deployed_model import DeployedModel, TensorSpec
from .model_file import copy_model

MODEL = "model.onnx"
CONDA, VIRTUALENV, REQUIREMENTS = "conda.yaml", "python_env.yaml", "requirements.txt"
_ALL_OPTIMIZATIONS = 99


def write_mlflow(folder: Path, model: DeployedModel, *, threads: int = 1) -> tuple[str, ...]:
    """Write the folder that ``mlflow.onnx.load_model`` and ``mlflow models serve`` take; there are no remarks.

    Raises:
        InputError: the folder cannot be written.
    """
    requirements = [f"{name}=={version(name)}" for name in ("onnx", "onnxruntime", "numpy")]
    python = platform.python_version()
    files: dict[str, Any] = {
        "MLmodel": _mlmodel(model, threads, python),
        CONDA: {
            "name": "mlflow-env",
            "channels": ["conda-forge"],
            "dependencies": [f"python={python}", "pip", {"pip": ["mlflow", *requirements]}],
        },
        VIRTUALENV: {
            "python": python,
            "build_dependencies": ["pip", "setuptools", "wheel"],
            "dependencies": [f"-r {REQUIREMENTS}"],
        },
    }
    with staged_folder(folder) as stage:
        copy_model(model.path, stage / MODEL)
        for name, document in files.items():
            (stage / name).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        (stage / REQUIREMENTS).write_text("\n".join(["mlflow", *requirements]) + "\n", encoding="utf-8")
    return ()


def _mlmodel(model: DeployedModel, threads: int, python: str) -> dict[str, Any]:
    session = {
        "execution_mode": "sequential",
        "graph_optimization_level": _ALL_OPTIMIZATIONS,
        "inter_op_num_threads": 1,
        "intra_op_num_threads": threads,
        "extra_session_config": dict(model.session_options),
    }
    return {
        "flavors": {
            "onnx": {
                "onnx_version": version("onnx"),
                "data": MODEL,
                "code": None,
                "providers": ["CPUExecutionProvider"],
                "onnx_session_options": session,
            },
            "python_function": {
                "loader_module": "mlflow.onnx",
                "python_version": python,
                "data": MODEL,
                "code": None,
                "env": {"conda": CONDA, "virtualenv": VIRTUALENV},
            },
        },
        "signature": {
            "inputs": json.dumps([_column(spec) for spec in model.inputs]),
            "outputs": json.dumps([_column(spec) for spec in model.outputs]),
        },
        "metadata": _metadata(model),
    }


def _column(spec: TensorSpec) -> dict[str, Any]:
    shape = [size if isinstance(size, int) else -1 for size in spec.shape]
    return {"type": "tensor", "name": spec.name, "tensor-spec": {"dtype": spec.dtype, "shape": shape}}


def _metadata(model: DeployedModel) -> dict[str, Any]:
    """The metadata of the MLflow model: its name, the report's facts, labels, and the preprocessing of images."""
    found: dict[str, Any] = {"name": model.name, "made_by": "fxpasses", **model.about}
    if model.labels:
        found["labels"] = list(model.labels)
    if model.image is not None:
        found["preprocessing"] = {"formula": "(pixel / 255 - mean) / std", "shape": list(model.image.shape)} | {
            "mean": list(model.image.mean),
            "std": list(model.image.std),
        }
    return found
