"""A folder with a tiny int8 model, a server of it in this process, and a client that returns raw bytes."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import documents
import numpy as np
import onnx
from numpy.typing import NDArray
from qdq_models import Graph, weights

from fxpasses.layouts.deployed_model import DeployedModel, deployed_model
from fxpasses.serving.server import listen
from fxpasses.serving.settings import ServeSettings
from fxpasses.serving.worker import make_server

Array = NDArray[np.float32]
SHAPE = (3, 9, 7)
CLASSES = 4
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
LONG_ENOUGH_S = 120.0


def tiny_net(batch: int | str = "batch") -> onnx.ModelProto:
    """A net of images of :data:`SHAPE`: a convolution and a linear layer, both of integers; :data:`CLASSES` logits."""
    graph = Graph()
    x = graph.qdq(graph.input(batch, *SHAPE))
    weight, _ = graph.weight(weights(5, 3, 3, 3))
    x = graph.qdq(graph.node("Relu", [graph.node("Conv", [x, weight])]))
    x = graph.node("Flatten", [x])
    weight, _ = graph.weight(weights(5 * 7 * 5, CLASSES), axis=1)
    logits = graph.qdq(graph.node("MatMul", [x, weight]), scale=0.1)
    graph.output(logits)
    model = graph.model(**{"fxpasses.session_options": '{"session.x64quantprecision": "1"}'})
    shape = model.graph.output[0].type.tensor_type.shape
    for size in (batch, CLASSES):
        dimension = shape.dim.add()
        setattr(dimension, "dim_param" if isinstance(size, str) else "dim_value", size)
    return model


def tiny_folder(folder: Path, model: onnx.ModelProto | None = None, **changes: Any) -> Path:
    """A folder with the files of ``fxpasses quantize`` that a server reads; ``changes`` are entries of report.json."""
    folder.mkdir(exist_ok=True)
    onnx.save(model or tiny_net(), folder / "model.int8.onnx")
    onnx.save(model or tiny_net(), folder / "model.fp32.onnx")
    report = documents.report() | {"model": "tiny.py:tiny_net"}
    variants = {each["name"]: each for each in report["variants"]}
    report["variants"] = [
        variants["onnxruntime int8"] | {"file": "model.int8.onnx"},
        variants["onnxruntime int8"] | {"name": "onnxruntime fp32", "precision": "fp32", "file": "model.fp32.onnx"},
    ]
    report["model_details"] |= {"input_shape": list(SHAPE), "preprocessing": {"mean": list(MEAN), "std": list(STD)}}
    report["data_details"] |= {"spec": f"images={folder / 'data'}"}
    for name in ("cat", "dog", "eel", "fox"):
        (folder / "data" / "train" / name).mkdir(parents=True, exist_ok=True)
    (folder / "data" / "val").mkdir(exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report | changes), encoding="utf-8")
    return folder


def images(count: int, seed: int = 0) -> Array:
    """Inputs of the net, float32 ``[count, 3, 9, 7]``."""
    made: Array = np.random.default_rng(seed).normal(size=(count, *SHAPE)).astype(np.float32)
    return made


def request_of(array: Array, **further: Any) -> dict[str, Any]:
    """An inference request for the net."""
    given = {"name": "x", "shape": list(array.shape), "datatype": "FP32", "data": array.ravel().tolist()}
    return {"inputs": [given], **further}


@dataclass(frozen=True)
class Answer:
    """An answer of the server."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def logits(self) -> Array:
        (output,) = self.json["outputs"]
        found: Array = np.array(output["data"], np.float32).reshape(output["shape"])
        return found


@dataclass(frozen=True)
class Served:
    """A running server and its model."""

    model: DeployedModel
    settings: ServeSettings
    port: int
    stop: Callable[[], None]
    open_connections: Callable[[], int]

    @property
    def infer(self) -> str:
        return f"/v2/models/{self.model.name}/infer"

    def ask(
        self, path: str, body: object = None, headers: Mapping[str, str] | None = None, method: str | None = None
    ) -> Answer:
        """Send one request on a connection of its own; a body that is not bytes is sent as JSON."""
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LONG_ENOUGH_S)
        try:
            connection.request(method or ("GET" if content is None else "POST"), path, content, dict(headers or {}))
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, answer.read(), names)
        finally:
            connection.close()

    def still_answers(self) -> None:
        """Check that a correct request is answered with status 200."""
        assert self.ask(self.infer, request_of(images(1))).status == 200


@contextmanager
def served(folder: Path, **settings: Any) -> Iterator[Served]:
    """A server in a thread; it has stopped, gracefully, when the block is left."""
    given = ServeSettings(folder, **{"port": 0, "drain_s": 0.0, **settings})
    model = deployed_model(folder, given.name)
    listener = listen(given)
    port, server = listener.getsockname()[1], make_server(model, given)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        deadline = time.monotonic() + LONG_ENOUGH_S
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        yield Served(model, given, port, server.stop, lambda: len(server.server_state.connections))
    finally:
        server.stop()
        thread.join(LONG_ENOUGH_S)
        assert not thread.is_alive(), "it did not stop"
