"""A server of one or several processes: they share a socket, and the server ends with the last of them."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnProcess
from types import FrameType

from prometheus_client.multiprocess import mark_process_dead

from fxpasses.errors import InputError
from fxpasses.layouts.deployed_model import DeployedModel

from .metrics import FOLDER
from .settings import ServeSettings
from .worker import STOPPING, run_worker

_BACKLOG = 2048
_SHORTEST_LIFE_S = 5.0
"""Seconds; a worker that ends sooner than this after its start is not replaced, since the next would end, too."""


def listen(settings: ServeSettings) -> socket.socket:
    """Open a socket that accepts connections from now on.

    Raises:
        InputError: the address cannot be had.
    """
    host = settings.host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small parts at once only on sockets that say they are TCP; others wait 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, settings.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise InputError(
            f"cannot listen on {settings.host} port {settings.port}",
            why=error.strerror or str(error),
            fix="stop what listens there, or choose another `port`; 0 is a free one",
        ) from error
    listener.setblocking(False)
    return listener


def url_of(settings: ServeSettings, listener: socket.socket) -> str:
    """Base URL of the server, with the port of its listening socket."""
    host = settings.host.strip("[]")
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


def serve(model: DeployedModel, settings: ServeSettings, listener: socket.socket) -> None:
    """Answer until SIGTERM or Ctrl-C, then finish what was begun and return.

    Raises:
        InputError: onnxruntime refuses the model, or a worker does not start.
    """
    if settings.workers == 1:
        run_worker(model, settings, listener)
        return
    with tempfile.TemporaryDirectory(prefix="fxpasses-metrics-") as folder, _in_environment(FOLDER, folder):
        _Workers(model, settings, listener).run()


class _Workers:
    """Processes that answer on one socket; one that dies is replaced."""

    def __init__(self, model: DeployedModel, settings: ServeSettings, listener: socket.socket) -> None:
        self._spawn = multiprocessing.get_context("spawn")  # a session's threads do not survive a fork
        self._given, self._listener = (model, settings, listener), listener
        self._running: dict[SpawnProcess, float] = {}
        self._stopping = False

    def run(self) -> None:
        with _on_stop(self._stop):
            for _ in range(self._given[1].workers):
                self._start()
            while self._running:
                multiprocessing.connection.wait([process.sentinel for process in self._running], timeout=1.0)
                for process in [each for each in self._running if each.exitcode is not None]:
                    self._replace(process)

    def _start(self) -> None:
        process = self._spawn.Process(target=run_worker, args=self._given)
        process.start()
        self._running[process] = time.monotonic()

    def _replace(self, process: SpawnProcess) -> None:
        """Start another worker, unless the server is stopping or workers end right after their start."""
        lived_s = time.monotonic() - self._running.pop(process)
        assert process.pid is not None
        mark_process_dead(process.pid)
        if self._stopping:
            return
        if lived_s < _SHORTEST_LIFE_S:
            self._stop()
            raise InputError(
                f"a worker ended after {lived_s:.1f} s",
                why=f"its exit code is {process.exitcode}; what it printed is above",
                fix="serve with `workers=1` to see the error, or with fewer workers if memory is short",
            )
        self._start()

    def _stop(self) -> None:
        """Stop listening here and stop the workers; each of them listens until it has drained."""
        self._stopping = True
        self._listener.close()
        for process in self._running:
            process.terminate()


@contextmanager
def _on_stop(stop: Callable[[], None]) -> Iterator[None]:
    def handle(_number: int, _frame: FrameType | None) -> None:
        stop()

    before = {number: signal.signal(number, handle) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _in_environment(name: str, value: str) -> Iterator[None]:
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
