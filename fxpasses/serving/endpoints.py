"""The answers of a server: the Open Inference Protocol's routes, ``/predict``, metrics and the description."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.responses import JSONResponse, Response

from fxpasses.layouts.deployed_model import DeployedModel

from .inference.batching import Batcher
from .inference.images import image_array
from .inference.refusal import Refusal
from .inference.tensors import input_arrays, output_json, tensor_metadata, wanted_outputs
from .openapi import NAME, PLATFORM, description
from .requests import BodyReader, json_object, request_id
from .uploads import uploaded_image

if TYPE_CHECKING:
    from starlette.requests import Request

    from .metrics import Metrics
    from .settings import ServeSettings

Array = np.ndarray[Any, Any]
VERSION = "1"
_MOST_CLASSES = 1000


class Endpoints:
    """One method for each route.

    Attributes:
        draining: whether the server was asked to stop; then it is not ready.
    """

    def __init__(self, model: DeployedModel, settings: ServeSettings, batcher: Batcher, metrics: Metrics) -> None:
        self._model, self._settings, self._batcher, self._metrics = model, settings, batcher, metrics
        self._bodies = BodyReader(settings.max_body, settings.timeout_s)
        self._decoder = ThreadPoolExecutor(1, thread_name_prefix="images")
        self._decoding = 0
        self.draining = False

    def close(self) -> None:
        self._decoder.shutdown()

    async def live(self, _request: Request) -> Response:
        return Response()

    async def ready(self, _request: Request) -> Response:
        if self.draining:
            raise Refusal(503, "the server is stopping")
        return Response()

    async def server(self, _request: Request) -> Response:
        from fxpasses import __version__

        return JSONResponse({"name": NAME, "version": __version__, "extensions": []})

    async def model(self, request: Request) -> Response:
        self._require_model(request)
        return JSONResponse(
            {
                "name": self._model.name,
                "versions": [VERSION],
                "platform": PLATFORM,
                "inputs": [tensor_metadata(spec) for spec in self._model.inputs],
                "outputs": [tensor_metadata(spec) for spec in self._model.outputs],
            }
        )

    async def model_ready(self, request: Request) -> Response:
        self._require_model(request)
        return await self.ready(request)

    async def infer(self, request: Request) -> Response:
        self._require_model(request)
        identity, arrays, wanted = self._parsed(await self._bodies.read(request))
        outputs = await self._computed(arrays)
        return JSONResponse(
            {
                "model_name": self._model.name,
                "model_version": VERSION,
                **({} if identity is None else {"id": identity}),
                "outputs": [output_json(self._model.outputs[index], outputs[index]) for index in wanted],
            }
        )

    async def predict(self, request: Request) -> Response:
        if self._model.image is None:
            raise Refusal(400, "this model takes no images; POST its tensors to its /infer")
        top = self._top(request)
        content = uploaded_image(request.headers.get("content-type", ""), await self._bodies.read(request))
        outputs = await self._computed([await self._decoded(content)])
        return JSONResponse({"model_name": self._model.name, **self._prediction(outputs, top)})

    async def metrics(self, _request: Request) -> Response:
        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4")

    async def openapi(self, _request: Request) -> Response:
        return JSONResponse(description(self._model, self._settings))

    def _parsed(self, body: bytes) -> tuple[str | None, list[Array], list[int]]:
        """Identity, inputs and wanted outputs of a request; a waiting request must not keep its far larger document."""
        document = json_object(body)
        arrays = input_arrays(self._model, document, self._settings.max_batch)
        return request_id(document), arrays, wanted_outputs(self._model, document)

    def _require_model(self, request: Request) -> None:
        name, version = request.path_params["model"], request.path_params.get("version", VERSION)
        if name != self._model.name:
            raise Refusal(404, f"no such model; this server has {self._model.name!r}")
        if version != VERSION:
            raise Refusal(404, f"no such version; this server has {VERSION!r}")

    def _top(self, request: Request) -> int:
        given = request.query_params.get("top", "5")
        if not (given.isascii() and given.isdecimal() and 1 <= int(given[:9]) <= _MOST_CLASSES):
            raise Refusal(400, f"'top' must be a whole number from 1 to {_MOST_CLASSES}")
        return int(given)

    async def _decoded(self, content: bytes) -> Array:
        """The image as the model's input, decoded one at a time and outside the event loop."""
        image, settings = self._model.image, self._settings
        assert image is not None
        if self._decoding >= settings.queue:
            raise Refusal(429, f"{settings.queue} images are waiting already; try again", retry_after_s=1)
        self._decoding += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._decoder, image_array, content, image, settings.max_pixels)
        finally:
            self._decoding -= 1

    async def _computed(self, arrays: list[Array]) -> list[Array]:
        try:
            return await asyncio.wait_for(self._batcher.submit(arrays), self._settings.timeout_s)
        except asyncio.TimeoutError as error:
            raise Refusal(503, f"no answer within {self._settings.timeout_s:g} s", retry_after_s=1) from error

    def _prediction(self, outputs: list[Array], top: int) -> Mapping[str, Any]:
        """The answer of ``/predict``: the best classes if the output is logits of classes, else all outputs."""
        logits = outputs[0]
        if logits.ndim != 2:
            return {"outputs": [output_json(s, o) for s, o in zip(self._model.outputs, outputs, strict=True)]}
        output_json(self._model.outputs[0], logits)  # refuses what JSON cannot say
        shifted = np.exp(logits[0].astype(np.float64) - logits[0].max())
        order = np.argsort(-logits[0], kind="stable")[:top]
        names = self._model.labels
        return {
            "classes": [
                {
                    "index": int(index),
                    "label": names[index] if names else None,
                    "probability": float(shifted[index] / shifted.sum()),
                    "logit": float(logits[0, index]),
                }
                for index in order
            ]
        }
