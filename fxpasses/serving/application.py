"""The application of one worker: session, queue and routes, opened at its start and closed at its stop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fxpasses.layouts.deployed_model import DeployedModel

from .endpoints import Endpoints
from .gate import ROUTE, Gate, refused
from .inference.batching import Batcher
from .inference.refusal import Refusal
from .inference.session import open_session
from .metrics import Metrics

if TYPE_CHECKING:
    from .settings import ServeSettings

Endpoint = Callable[[Request], Awaitable[Response]]


class Application:
    """An ASGI application for one model."""

    def __init__(self, model: DeployedModel, settings: ServeSettings) -> None:
        self._model, self._settings = model, settings
        metrics = Metrics()
        self._session = open_session(model, settings.threads)
        self._batcher = Batcher(
            self._session.run,
            together=model.is_batched,
            max_batch=settings.max_batch,
            delay_s=settings.batch_delay_ms / 1000,
            queue=settings.queue,
            watch=metrics,
        )
        self._endpoints = Endpoints(model, settings, self._batcher, metrics)
        routes = Starlette(
            routes=_routes(self._endpoints),
            exception_handlers={Refusal: _tell_refusal, HTTPException: _tell_http_error, Exception: _tell_defect},
            lifespan=self._lifespan,
        )
        routes.router.redirect_slashes = False
        self.asgi = Gate(routes, metrics, settings.token)

    def drain(self) -> None:
        """Prepare the stop of the server: it is no longer ready, and connections close after their answer."""
        self.asgi.draining = self._endpoints.draining = True
        self._batcher.hurry()

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        self._session.warm_up(self._settings.max_batch)
        self._batcher.start()
        try:
            yield
        finally:
            await self._batcher.close()
            self._endpoints.close()


def _routes(endpoints: Endpoints) -> list[Route]:
    model, version = "/v2/models/{model}", "/v2/models/{model}/versions/{version}"
    gets: list[tuple[str, Endpoint]] = [
        ("/v2", endpoints.server),
        ("/v2/", endpoints.server),
        ("/v2/health/live", endpoints.live),
        ("/v2/health/ready", endpoints.ready),
        (model, endpoints.model),
        (version, endpoints.model),
        (f"{model}/ready", endpoints.model_ready),
        (f"{version}/ready", endpoints.model_ready),
        ("/metrics", endpoints.metrics),
        ("/openapi.json", endpoints.openapi),
    ]
    posts: list[tuple[str, Endpoint]] = [
        (f"{model}/infer", endpoints.infer),
        (f"{version}/infer", endpoints.infer),
        ("/predict", endpoints.predict),
    ]
    return [_route(path, endpoint, "GET") for path, endpoint in gets] + [
        _route(path, endpoint, "POST") for path, endpoint in posts
    ]


def _route(path: str, endpoint: Endpoint, method: str) -> Route:
    """A route that notes its name for the metrics: there are few names, but clients may send any address."""
    name = endpoint.__name__

    async def named(request: Request) -> Response:
        request.scope[ROUTE] = name
        return await endpoint(request)

    return Route(path, named, methods=[method])


async def _tell_refusal(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return refused(error)


async def _tell_http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = refused(Refusal(error.status_code, str(error.detail)))
    answer.headers.update(error.headers or {})
    return answer


async def _tell_defect(_request: Request, _error: Exception) -> Response:
    return refused(Refusal(500, "a defect of the server; its log has the traceback"))
