"""Checks and work common to all routes: the token, the host, errors as JSON, counting, and the end of connections.

An answer may be ready before the client has sent all of its request, for example if the request is too large or has no
token. If the server closed the connection then, the client's writing would fail, and it would never read the answer.
So the server reads and drops the rest of the request for a moment.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from .inference.refusal import Refusal

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from .metrics import Metrics

ROUTE = "fxpasses.route"
"""The key of a request's scope under which its route notes its name."""
_OPEN = ("/v2/health/live", "/v2/health/ready")
"""Routes that need no token, because health checks have none."""
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_TOO_SLOW = 408
"""HTTP status for a client that did not send its request in time."""
_LINGER_S = 1.0
_LINGER_BYTES = 64 << 20


class Gate:
    """The outermost application, through which every request passes.

    Args:
        app: the routes.
        metrics: counts every answer.
        token: token that requests must carry; None if they need no token.

    Attributes:
        draining: whether the server is stopping; connections then end with their answer.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, token: str | None) -> None:
        self._app, self._metrics = app, metrics
        self._token = None if token is None else token.encode()
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, lambda: self.draining)
        try:
            self._admit(scope)
            await self._app(scope, exchange.receive, exchange.send)
        except Refusal as refusal:
            await refused(refusal)(scope, exchange.receive, exchange.send)
        finally:
            route = str(scope.get(ROUTE, "none"))
            self._metrics.request_done(route, exchange.status, time.monotonic() - exchange.began)

    def _admit(self, scope: Scope) -> None:
        headers = dict(scope["headers"])
        if self._token is None:
            _require_own_name(headers.get(b"host", b"").decode("latin-1"))
        elif scope["path"] not in _OPEN:
            kind, _, given = headers.get(b"authorization", b"").partition(b" ")
            if kind.lower() != b"bearer" or not hmac.compare_digest(given.strip(), self._token):
                raise Refusal(401, "send the token: 'Authorization: Bearer TOKEN'")


def refused(refusal: Refusal) -> JSONResponse:
    """The HTTP answer to a refused request."""
    headers = {} if refusal.retry_after_s is None else {"retry-after": str(refusal.retry_after_s)}
    if refusal.status == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse({"error": refusal.sentence}, refusal.status, headers)


def _require_own_name(host: str) -> None:
    """Refuse requests to a foreign host name: by a name for this machine, a web page could read the answers."""
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name.lower() not in _LOOPBACK:
        raise Refusal(400, f"without a token this server is for {', '.join(_LOOPBACK)} alone")


class _Exchange:
    """One request and its answer; notes the status, and reads the rest of the request if the answer came first."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, is_draining: Callable[[], bool]) -> None:
        self._receive, self._send = receive, send
        self._is_draining = is_draining
        headers = dict(scope["headers"])
        self._complete = not (b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0")
        self._waits_for_word = headers.get(b"expect", b"").lower() == b"100-continue"
        self.status, self.began = 500, time.monotonic()

    async def receive(self) -> Message:
        message = await self._receive()
        self._waits_for_word = False
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._complete = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            cut = not self._complete
            if cut and not self._waits_for_word and self.status != _TOO_SLOW:
                await self._throw_away_the_rest()
            if cut or self._is_draining():
                message = {**message, "headers": [*message.get("headers", []), (b"connection", b"close")]}
        await self._send(message)

    async def _throw_away_the_rest(self) -> None:
        thrown, deadline = 0, time.monotonic() + _LINGER_S
        while not self._complete and thrown < _LINGER_BYTES:
            try:
                message = await asyncio.wait_for(self.receive(), max(0.0, deadline - time.monotonic()))
            except asyncio.TimeoutError:
                return
            thrown += len(message.get("body", b""))
