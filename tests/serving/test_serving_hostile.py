"""Malformed and hostile requests are refused with 4xx, and all other requests are answered as before."""

from __future__ import annotations

import io
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hostile_requests import BODIES
from PIL import Image
from served import LONG_ENOUGH_S, Served, images, request_of, served, tiny_folder

TIMEOUT_S = 0.5
"""Time that clients of the hasty server have. On a busy machine it may be too short for a good request."""
MAX_BODY = 100_000
MAX_PIXELS = 10_000
TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tiny_folder(tmp_path_factory.mktemp("served"))
    with served(folder, timeout_s=LONG_ENOUGH_S, max_body=MAX_BODY, max_pixels=MAX_PIXELS) as running:
        yield running
        running.still_answers()
        assert b'status="5' not in running.ask("/metrics").body


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose clients soon run out of time, and which answers when all of them are gone."""
    with served(tiny_folder(tmp_path_factory.mktemp("hasty")), timeout_s=TIMEOUT_S) as running:
        yield running
        deadline = time.monotonic() + LONG_ENOUGH_S
        while running.ask(running.infer, request_of(images(1))).status != 200:
            assert time.monotonic() < deadline, "no request was answered in time"


@contextmanager
def connected(server: Served) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        yield connection


def read_all(connection: socket.socket) -> bytes:
    """All bytes that the server sends until it closes the connection."""
    found = b""
    while part := connection.recv(65536):
        found += part
    return found


def is_ended(connection: socket.socket, sent: bytes, times: int, pause_s: float = 0.0) -> bool:
    """Whether the server ends a connection on which a client sends the same bytes again and again."""
    try:
        for _ in range(times):
            connection.sendall(sent)
            time.sleep(pause_s)
    except (ConnectionResetError, BrokenPipeError):
        return True
    return False


@pytest.mark.parametrize("case", BODIES)
def test_bodies(server: Served, case: str) -> None:
    answer = server.ask(server.infer, BODIES[case])
    assert answer.status == 400, answer.body
    assert 5 < len(answer.json["error"]) < 500


def png_claiming(width: int, height: int, color: int = 2) -> bytes:
    """A small PNG file whose header claims ``width`` x ``height`` pixels; its data expands to many zeros."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    pixels = zlib.compress(bytes(1_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def image_file(kind: str, size: tuple[int, int] = (20, 20)) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", size, (10, 200, 30)).save(written, kind)
    return written.getvalue()


def png_with_text(size: int) -> bytes:
    """An image file that contains a text of ``size`` characters, compressed by a factor of about 1000."""
    from PIL.PngImagePlugin import PngInfo

    info, written = PngInfo(), io.BytesIO()
    info.add_text("comment", "x" * size, zip=True)
    Image.new("RGB", (20, 20)).save(written, "PNG", pnginfo=info)
    return written.getvalue()


IMAGES: dict[str, tuple[Callable[[], bytes], int]] = {
    "nothing": (lambda: b"", 400),
    "text": (lambda: b"hello", 400),
    "a bomb of pixels": (lambda: png_claiming(60_000, 60_000), 413),
    "a bomb of few enough pixels for Pillow": (lambda: png_claiming(9_000, 9_000), 413),
    "a line that would be scaled to millions": (lambda: png_claiming(1, 5_000), 413),
    "a row that would be scaled to millions": (lambda: png_claiming(5_000, 1), 413),
    "no pixels": (lambda: png_claiming(0, 0), 400),
    "fewer pixels than it says": (lambda: image_file("PNG")[:60], 400),
    "a JPEG cut short": (lambda: image_file("JPEG")[:300], 400),
    "a text bomb": (lambda: png_with_text(70_000_000), 400),
    "a kind that is not read": (lambda: image_file("TIFF"), 400),
    "an icon": (lambda: image_file("ICO"), 400),
    "an EPS, which would start a program": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 400),
}
"""Functions that make an image, and the status of the answer: all processes collect this file, one makes the images."""


@pytest.mark.parametrize("case", IMAGES)
def test_images(server: Served, case: str) -> None:
    make, status = IMAGES[case]
    content, began = make(), time.process_time()
    answer = server.ask("/predict", content)
    assert answer.status == status, answer.body
    assert time.process_time() - began < 5, "time of all threads of this process, and the server is one of them"


def test_damaged_images_of_every_kind(server: Served) -> None:
    """An image with an inverted byte is answered or refused, and never causes a server error."""
    for kind in ("PNG", "JPEG", "WEBP", "BMP", "GIF", "PPM"):
        whole = image_file(kind)
        for place in range(0, len(whole), max(1, len(whole) // 12)):
            damaged = whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]
            assert server.ask("/predict", damaged).status in (200, 400, 413), (kind, place)


def test_forms_that_are_damaged(server: Served) -> None:
    header = {"content-type": "multipart/form-data; boundary=edge"}
    head = b'--edge\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
    for body in (
        b"",
        b"--edge",
        head,
        b"--edge\r\n" + b"x: y\r\n" * 5000,
        (head + b"x\r\n") * 50 + b"--edge--",
        b"\0" * 99,
    ):
        assert server.ask("/predict", body, header).status == 400
    assert server.ask("/predict", head + b"x", {"content-type": "multipart/form-data"}).status == 400


def test_a_body_that_says_it_is_too_large(server: Served) -> None:
    answer = server.ask(server.infer, b"0" * (MAX_BODY + 1))
    assert answer.status == 413 and str(MAX_BODY) in answer.json["error"]
    assert answer.headers["connection"] == "close"


def test_a_body_that_turns_out_too_large(server: Served) -> None:
    with connected(server) as connection:
        connection.sendall(
            f"POST {server.infer} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        )
        for _ in range(50):
            connection.sendall(b"1000\r\n" + b"0" * 4096 + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_never_ends_is_cut_off(server: Served) -> None:
    with connected(server) as connection:
        connection.sendall(
            f"POST {server.infer} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        )
        assert is_ended(connection, b"4000\r\n" + b"0" * 16384 + b"\r\n", 100_000)


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"GET /v2 HTTP/9.9\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\n\r\n",  # no host
        b"GET /v2 HTTP/1.1\r\nhost: evil.example\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * 1_000_000 + b"\r\n\r\n",
        b"GET /" + b"y" * 1_000_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999999999999999999\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"\0" * 1000 + b"\r\n\r\n",
    ],
)
def test_bytes_that_are_no_request(hasty: Served, sent: bytes) -> None:
    with connected(hasty) as connection:
        with suppress(OSError):  # the answer comes before all was sent
            connection.sendall(sent)
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 4"), answer


@pytest.mark.parametrize(
    "begun", [b"", b"GET /v2 HT", b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nx: "], ids=["nothing", "line", "header"]
)
def test_headers_that_do_not_come(hasty: Served, begun: bytes) -> None:
    with connected(hasty) as connection:
        began = time.monotonic()
        connection.sendall(begun)
        assert read_all(connection).startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - began > TIMEOUT_S * 0.5


def test_headers_that_come_letter_by_letter(hasty: Served) -> None:
    with connected(hasty) as connection:
        connection.sendall(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nx: ")
        assert is_ended(connection, b"y", 200, pause_s=0.05)


def test_headers_of_a_second_request_that_do_not_end(hasty: Served) -> None:
    with connected(hasty) as connection:
        connection.sendall(b"GET /v2/health/live HTTP/1.1\r\nhost: localhost\r\n\r\n")
        time.sleep(0.1)
        connection.sendall(b"GET /v2/health/live HT")
        found = read_all(connection)
    assert found.startswith(b"HTTP/1.1 200 ") and found.count(b"HTTP/1.1") == 1


def test_a_body_that_does_not_come(hasty: Served) -> None:
    with connected(hasty) as connection:
        connection.sendall(f"POST {hasty.infer} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99\r\n\r\nx".encode())
        assert read_all(connection).startswith(b"HTTP/1.1 408 ")


def test_a_client_that_leaves_in_the_middle(server: Served) -> None:
    for _ in range(5):
        with connected(server) as connection:
            connection.sendall(
                f"POST {server.infer} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99\r\n\r\nx".encode()
            )
    server.still_answers()


def test_a_client_that_does_not_read(hasty: Served) -> None:
    """A client that sends requests and reads no answers loses its connection, which frees the unread answers."""
    deadline = time.monotonic() + LONG_ENOUGH_S
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # before connecting: systems shrink none later
        connection.connect(("127.0.0.1", hasty.port))
        connection.settimeout(TIMEOUT_S)
        with suppress(TimeoutError, ConnectionError):  # nothing more fits, or the server has ended it
            while time.monotonic() < deadline:
                connection.sendall(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n" * 10)
        while hasty.open_connections() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert hasty.open_connections() == 0


def test_slow_clients_keep_nobody_waiting(server: Served) -> None:
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
    try:
        for number, connection in enumerate(slow):
            head = f"POST {server.infer} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99\r\n"
            connection.sendall((head + ("\r\nx" if number % 2 else "")).encode())
        server.still_answers()
        assert server.open_connections() >= len(slow), "it was answered before their time was up"
    finally:
        for connection in slow:
            connection.close()


def test_more_than_the_queue_holds_is_told_so(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with served(tiny_folder(tmp_path / "f"), queue=2, batch_delay_ms=2000, max_batch=8) as server:
        with ThreadPoolExecutor(8) as clients:
            answers = list(clients.map(lambda _: server.ask(server.infer, request_of(images(1))), range(8)))
        statuses = [answer.status for answer in answers]
        assert statuses.count(200) >= 2 and statuses.count(429) >= 1 and set(statuses) == {200, 429}
        assert next(a for a in answers if a.status == 429).headers["retry-after"] == "1"
        server.still_answers()


def test_a_token_is_asked_of_everything_but_health(tmp_path: Path) -> None:
    with served(tiny_folder(tmp_path / "f"), token=TOKEN) as server:
        for path in ("/v2", server.infer, "/metrics", "/openapi.json", "/predict"):
            for headers in (
                {},
                {"authorization": TOKEN},
                {"authorization": f"Bearer {TOKEN}x"},
                {"authorization": "Bearer"},
            ):
                answer = server.ask(path, None, headers)
                assert answer.status == 401 and answer.headers["www-authenticate"] == "Bearer"
        good = {"authorization": f"Bearer {TOKEN}", "host": "anything.example"}
        assert server.ask("/v2/health/live").status == server.ask("/v2/health/ready").status == 200
        assert server.ask(server.infer, request_of(images(1)), good).status == 200
        assert server.ask(server.infer, b"0" * 1_000_000).status == 401, "a client that writes on is told so, too"
