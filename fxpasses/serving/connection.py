"""Time limits for connections with clients that are slow, perhaps on purpose, in sending or reading.

uvicorn limits the time to the next request of a connection. It limits neither the time until the first request has
arrived nor the time until a client has read its answer.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"

_FIRST_REQUEST_S = 0.5
"""Seconds for which a connection without any request stays open after the server began to stop."""


class TimedProtocol(H11Protocol):
    """uvicorn's protocol with a time limit for headers to arrive and for answers to be read."""

    timeout_s = 10.0
    _reading: asyncio.TimerHandle | None = None
    _writing: asyncio.TimerHandle | None = None
    cycle: Any  # None before the first request

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # so that any unread byte pauses writing
        self._wait_for_headers()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_between_requests():
            self._wait_for_headers()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self.resume_writing()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close the connection as the server stops; a new one stays open briefly, as its first request may follow."""
        if self.cycle is None:
            self.loop.call_later(_FIRST_REQUEST_S, self._end_if_no_request)
        else:
            super().shutdown()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._writing is None:
            self._writing = self.loop.call_later(self.timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        super().resume_writing()

    def _is_between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait_for_headers(self) -> None:
        if self._reading is None:
            self._reading = self.loop.call_later(self.timeout_s, self._end_if_no_request)

    def _stop_waiting(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _end_if_no_request(self) -> None:
        self._reading = None
        if self._is_between_requests() and not self.transport.is_closing():
            if self.cycle is None:  # behind an answered request it would be taken for another answer
                self.transport.write(_TOO_SLOW)
            self.transport.close()


def timed_protocol(timeout_s: float) -> type[TimedProtocol]:
    """The protocol class with this time limit; uvicorn creates an object of it for each connection."""
    return type("TimedProtocol", (TimedProtocol,), {"timeout_s": timeout_s})
