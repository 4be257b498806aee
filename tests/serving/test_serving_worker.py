"""A stopping server answers the requests that have begun, and refuses later requests or does not accept them."""

from __future__ import annotations

import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from served import LONG_ENOUGH_S, images, request_of, served, tiny_folder


def test_while_it_drains_it_answers_and_is_not_ready(tmp_path: Path) -> None:
    with served(tiny_folder(tmp_path / "f"), drain_s=1.5) as server:
        assert "connection" not in server.ask("/v2/health/ready").headers
        server.stop()
        ready = server.ask("/v2/health/ready")
        assert ready.status == 503 and "stopping" in ready.json["error"]
        assert server.ask(f"/v2/models/{server.model.name}/ready").status == 503
        assert server.ask("/v2/health/live").status == 200
        answer = server.ask(server.infer, request_of(images(1)))
        assert answer.status == 200 and answer.headers["connection"] == "close"


def test_requests_that_wait_are_answered(tmp_path: Path) -> None:
    """Requests that wait for others to fill a batch are answered at once when the server stops."""
    folder = tiny_folder(tmp_path / "f")
    with served(folder, batch_delay_ms=10_000, timeout_s=60) as server, ThreadPoolExecutor(4) as clients:
        asked = [clients.submit(server.ask, server.infer, request_of(images(1))) for _ in range(4)]
        while b"fxpasses_unanswered_requests 4.0" not in server.ask("/metrics").body:
            time.sleep(0.02)
        began = time.monotonic()
        server.stop()
        assert [each.result().status for each in asked] == [200] * 4
        assert time.monotonic() - began < 8


def test_a_connection_without_a_request_does_not_hold_it_up(tmp_path: Path) -> None:
    with served(tiny_folder(tmp_path / "f"), timeout_s=600) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LONG_ENOUGH_S)
        connection.connect()
        began = time.monotonic()
    assert time.monotonic() - began < LONG_ENOUGH_S / 2
    connection.close()


def test_a_stop_under_load_loses_nothing(tmp_path: Path) -> None:
    """Clients open a connection for each request until the server no longer listens; all requests sent are answered."""
    content, statuses, lost = json.dumps(request_of(images(1))).encode(), list[int](), list[str]()

    def drive(port: int, path: str) -> None:
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONG_ENOUGH_S)
            try:
                connection.connect()
            except OSError:
                return
            try:
                connection.request("POST", path, content)
                statuses.append(connection.getresponse().status)
            except (OSError, http.client.HTTPException) as error:
                lost.append(repr(error))
            finally:
                connection.close()

    with served(tiny_folder(tmp_path / "f"), drain_s=0.2) as server:
        clients = [threading.Thread(target=drive, args=(server.port, server.infer)) for _ in range(6)]
        for client in clients:
            client.start()
        while len(statuses) <= 20 and any(client.is_alive() for client in clients):
            time.sleep(0.01)
    for client in clients:
        client.join()
    assert lost == [] and set(statuses) == {200} and len(statuses) > 20
