"""One process of a server: it answers until it is asked to stop, and then finishes the requests that have begun."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from fxpasses.layouts.deployed_model import DeployedModel

from .application import Application
from .connection import timed_protocol
from .settings import ServeSettings

STOPPING = (signal.SIGINT, signal.SIGTERM)


class DrainingServer(uvicorn.Server):
    """Stops in two steps: no longer ready, but open for ``drain_s`` more; then no new connections, the rest answered.

    A second Ctrl-C ends it at once.
    """

    def __init__(self, config: uvicorn.Config, drain: Callable[[], None], drain_s: float) -> None:
        super().__init__(config)
        self._drain, self._drain_s = drain, drain_s
        self._exit_at: float | None = None

    def stop(self) -> None:
        """Begin to stop; may be called from any thread."""
        if self._exit_at is None:
            self._exit_at = time.monotonic() + self._drain_s
            self._drain()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._exit_at is not None and sig == signal.SIGINT:
            self.should_exit = self.force_exit = True
        self.stop()

    async def on_tick(self, counter: int) -> bool:
        if self._exit_at is not None and time.monotonic() >= self._exit_at:
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept the connections that wait in the system's queue, which would otherwise be reset, then close."""
        waiting = [connection for listener in sockets or [] for connection in _accepted(listener)]
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for connection in waiting:
            await loop.connect_accepted_socket(self._new_protocol, connection)
        await super().shutdown(sockets)

    def _new_protocol(self) -> asyncio.Protocol:
        make = self.config.http_protocol_class
        protocol: asyncio.Protocol = make(  # type: ignore[call-arg]  # as uvicorn makes it
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals inside the block, and do not raise them again after it: a requested stop is no failure."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in STOPPING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _accepted(listener: socket.socket) -> Iterator[socket.socket]:
    """Connections in the system's queue, accepted one after the other."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # none is left
            return
        connection.setblocking(False)
        yield connection


def make_server(model: DeployedModel, settings: ServeSettings) -> DrainingServer:
    """The server of one process, with a session of its own.

    Raises:
        InputError: onnxruntime refuses the model.
    """
    application = Application(model, settings)
    config = uvicorn.Config(
        application.asgi,
        http=timed_protocol(settings.timeout_s),
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=settings.connections,
        timeout_graceful_shutdown=int(2 * settings.timeout_s) + 1,
    )
    return DrainingServer(config, application.drain, settings.drain_s)


def run_worker(model: DeployedModel, settings: ServeSettings, listener: socket.socket) -> None:
    """Answer on a socket that listens already, until SIGTERM or Ctrl-C."""
    make_server(model, settings).run([listener])
