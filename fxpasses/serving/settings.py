"""Settings of a server, each checked once."""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass, fields
from pathlib import Path

from fxpasses.errors import InputError

MIB = 1 << 20
SHORTEST_TOKEN = 16
_BOUNDS = {
    "port": (0, 65_535),
    "workers": (1, 256),
    "threads": (1, 1024),
    "max_batch": (1, 4096),
    "queue": (1, 100_000),
    "max_body": (1024, 2048 * MIB),
    "max_pixels": (1, 1 << 30),
    "connections": (8, 100_000),
    "batch_delay_ms": (0, 10_000),
    "timeout_s": (0.1, 3600),
    "drain_s": (0, 600),
}


@dataclass(frozen=True)
class ServeSettings:
    """Settings and limits of a server.

    Attributes:
        folder: the folder that ``fxpasses quantize`` wrote.
        name: name of the model in addresses; by default from the report.
        host: an address to listen on; anything but loopback needs a token.
        port: port to listen on; 0 chooses a free one.
        workers: number of processes, each with a session of its own.
        threads: number of threads that one worker computes on.
        max_batch: rows that are computed together, and the most that one request may have.
        batch_delay_ms: how long the first request of a batch waits for others.
        queue: requests that a worker has taken in and not yet answered; one more is told 429.
        max_body: bytes of a request's body; more is told 413.
        max_pixels: pixels of an image, both as sent and as scaled; more is told 413.
        connections: open connections of a worker; one more is told 503.
        timeout_s: seconds for a client to send its request, for the answer, and for the client to read it.
        drain_s: seconds between the signal to stop and the last connection that is taken.
        token: token of every request except health checks, as ``Authorization: Bearer TOKEN``.
    """

    folder: Path
    name: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    threads: int = 1
    max_batch: int = 8
    batch_delay_ms: float = 1.0
    queue: int = 64
    max_body: int = 8 * MIB
    max_pixels: int = 50_000_000
    connections: int = 512
    timeout_s: float = 10.0
    drain_s: float = 0.5
    token: str | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name in _BOUNDS:
                _check(field.name, getattr(self, field.name), *_BOUNDS[field.name])
        _check_token(self.token)
        if self.token is None and not is_loopback(self.host):
            raise InputError(
                f"host {self.host} without a token",
                why="whoever reaches that address could use the model",
                fix="set FXPASSES_TOKEN, or give a `token`, or listen on 127.0.0.1",
            )


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _check(name: str, value: float, least: float, most: float) -> None:
    if not (math.isfinite(value) and least <= value <= most):
        raise InputError(f"{name}: {value}", why="a server cannot be run so", fix=f"choose from {least} to {most}")


def _check_token(token: str | None) -> None:
    if token is not None and (len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable()):
        raise InputError(
            "the token is too short, or not of printable ASCII",
            why="it is all that stands between a stranger and the model",
            fix=f"take {SHORTEST_TOKEN} or more characters: python -c 'import secrets; print(secrets.token_urlsafe())'",
        )
