"""The socket of a server, and the processes that share it."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from served import tiny_folder

from fxpasses.errors import InputError
from fxpasses.layouts.deployed_model import deployed_model
from fxpasses.serving import server
from fxpasses.serving.settings import ServeSettings


def test_the_socket_says_that_it_is_tcp(tmp_path: Path) -> None:
    """The socket's protocol must be TCP, since otherwise asyncio delays small answers by 40 ms."""
    with server.listen(ServeSettings(tmp_path, port=0)) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_where_it_is(tmp_path: Path) -> None:
    settings = ServeSettings(tmp_path, port=0)
    with server.listen(settings) as listener:
        assert server.url_of(settings, listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_where_it_is_in_the_other_internet(tmp_path: Path) -> None:
    settings = ServeSettings(tmp_path, host="::1", port=0)
    try:
        listener = server.listen(settings)
    except InputError:
        pytest.skip("this machine has no IPv6 address")
    with listener:
        assert server.url_of(settings, listener).startswith("http://[::1]:")


def test_an_address_that_is_taken(tmp_path: Path) -> None:
    with server.listen(ServeSettings(tmp_path, port=0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(InputError, match=f"cannot listen on 127.0.0.1 port {port}"):
            server.listen(ServeSettings(tmp_path, port=port))


def test_workers_that_end_as_soon_as_they_begin_end_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ServeSettings(tmp_path, port=0, workers=2)
    model = deployed_model(tiny_folder(tmp_path / "f"))
    monkeypatch.setattr(server, "mark_process_dead", lambda _pid: None)
    with server.listen(settings) as listener:
        workers: Any = server._Workers(model, settings, listener)
        ended, other = Mock(pid=1, exitcode=3), Mock(pid=2, exitcode=None)
        workers._running = {ended: time.monotonic(), other: time.monotonic()}
        with pytest.raises(InputError, match="its exit code is 3"):
            workers._replace(ended)
    other.terminate.assert_called_once()
