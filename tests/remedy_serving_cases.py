"""Cases of errors from servers and layouts: a failing call, a part of its remedy, and the call with the remedy."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import onnx
from remedy_subjects import Case
from served import tiny_folder

from fxpasses.layouts.deployed_model import ImageInput, TensorSpec, deployed_model
from fxpasses.layouts.model_file import copy_renamed
from fxpasses.layouts.optimum import write_optimum
from fxpasses.layouts.triton import write_triton
from fxpasses.serving import server
from fxpasses.serving.extra import require_extra
from fxpasses.serving.settings import ServeSettings

_AGAIN = "make the folder again"
_TEXT = '<ir_version: 8, opset_import: ["": 17]> g (string[1] a) => (string[1] b) { b = Identity (a) }'


def _leading_elsewhere(folder: Path) -> Path:
    made = tiny_folder(folder / "f")
    report = json.loads((made / "report.json").read_text())
    report["variants"][0]["file"] = "../m.onnx"
    (made / "report.json").write_text(json.dumps(report))
    return made


def _renamed(folder: Path, name: str) -> None:
    copy_renamed(tiny_folder(folder / "f") / "model.int8.onnx", folder / "n.onnx", {"x": name})


def _taken_name(folder: Path) -> str:
    return str(onnx.load(tiny_folder(folder / "f") / "model.int8.onnx").graph.node[3].output[0])


def _triton(folder: Path, dtype: str) -> None:
    model = deployed_model(tiny_folder(folder / "f"))
    write_triton(folder / "r", replace(model, inputs=(TensorSpec("x", dtype, ("batch", 3)),)))


def _optimum(folder: Path, image: ImageInput | None) -> None:
    write_optimum(folder / "o", replace(deployed_model(tiny_folder(folder / "f")), image=image))


def _listening_twice(folder: Path, second: int | None) -> None:
    with server.listen(ServeSettings(folder, port=0)) as first:
        server.listen(ServeSettings(folder, port=first.getsockname()[1] if second is None else second)).close()


def _worker_ends(folder: Path) -> None:
    settings = ServeSettings(folder, port=0, workers=2)
    ended: Any = Mock(pid=1, exitcode=1)
    with server.listen(settings) as listener, patch.object(server, "mark_process_dead"):
        workers: Any = server._Workers(deployed_model(tiny_folder(folder / "f")), settings, listener)
        workers._running = {ended: time.monotonic()}
        workers._replace(ended)


def _without_uvicorn(_folder: Path) -> None:
    with patch("fxpasses.serving.extra.find_spec", lambda name: None if name == "uvicorn" else Mock()):
        require_extra()


SERVING_CASES: dict[str, Case] = {
    "fxpasses/layouts/deployed_model.py:deployed_model": (
        lambda folder: deployed_model(folder / "nothing"),
        "name a folder that fxpasses quantize wrote",
        lambda folder: deployed_model(tiny_folder(folder / "f")),
    ),
    "fxpasses/layouts/deployed_model.py:deployed_model#2": (
        lambda folder: deployed_model(tiny_folder(folder / "f", variants=[])),
        _AGAIN,
        lambda folder: deployed_model(tiny_folder(folder / "f")),
    ),
    "fxpasses/layouts/deployed_model.py:checked_name": (
        lambda folder: deployed_model(tiny_folder(folder / "f"), "a b"),
        "'a_b'",
        lambda folder: deployed_model(tiny_folder(folder / "f"), "a_b"),
    ),
    "fxpasses/layouts/deployed_model.py:_beside": (
        lambda folder: deployed_model(_leading_elsewhere(folder)),
        _AGAIN,
        lambda folder: deployed_model(tiny_folder(folder / "f")),
    ),
    "fxpasses/layouts/deployed_model.py:_spec": (
        lambda folder: deployed_model(tiny_folder(folder / "f", onnx.parser.parse_model(_TEXT))),
        _AGAIN,
        lambda folder: deployed_model(tiny_folder(folder / "f")),
    ),
    "fxpasses/layouts/model_file.py:copy_renamed": (
        lambda folder: _renamed(folder, _taken_name(folder)),
        "name the model's nodes differently",
        lambda folder: _renamed(folder, "pixel_values"),
    ),
    "fxpasses/layouts/triton.py:_tensor": (
        lambda folder: _triton(folder, "int4"),
        "float32",
        lambda folder: _triton(folder, "float32"),
    ),
    "fxpasses/layouts/optimum.py:_require_classifier": (
        lambda folder: _optimum(folder, None),
        "use the layout triton or mlflow",
        lambda folder: write_triton(folder / "r", deployed_model(tiny_folder(folder / "f", model_details=None))),
    ),
    "fxpasses/layouts/optimum.py:_require_classifier#2": (
        lambda folder: _optimum(folder, ImageInput((1, 8, 8), (0.0,), (1.0,))),
        "use the layout triton or mlflow",
        lambda folder: write_triton(folder / "r", deployed_model(tiny_folder(folder / "f"))),
    ),
    "fxpasses/serving/settings.py:__post_init__": (
        lambda folder: ServeSettings(folder, host="0.0.0.0"),
        "or listen on 127.0.0.1",
        lambda folder: (
            ServeSettings(folder, host="127.0.0.1"),
            ServeSettings(folder, host="0.0.0.0", token="sixteen letters!"),
        ),
    ),
    "fxpasses/serving/settings.py:_check": (
        lambda folder: ServeSettings(folder, queue=0),
        "choose from 1 to 100000",
        lambda folder: ServeSettings(folder, queue=1),
    ),
    "fxpasses/serving/settings.py:_check_token": (
        lambda folder: ServeSettings(folder, token="short"),
        "take 16 or more characters",
        lambda folder: ServeSettings(folder, token="x" * 16),
    ),
    "fxpasses/serving/server.py:listen": (
        lambda folder: _listening_twice(folder, None),
        "0 is a free one",
        lambda folder: _listening_twice(folder, 0),
    ),
    "fxpasses/serving/server.py:_replace": (
        lambda folder: _worker_ends(folder),
        "serve with `workers=1` to see the error",
        lambda folder: ServeSettings(folder, workers=1),
    ),
    "fxpasses/serving/extra.py:require_extra": (
        _without_uvicorn,
        'pip install "fxpasses[serve]"',
        lambda _: require_extra(),
    ),
}
