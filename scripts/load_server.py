"""Drive ``fxpasses serve`` from a second process: failures, latencies, memory, and requests lost at a stop under load.

    python scripts/load_server.py DIR --seconds 300

The throughput of one client that sends one request after another is measured first. Then requests are due at even
times, at a share of that rate, whether earlier ones were answered or not: latency counts from the time a request was
due. Every answer must be, byte for byte, what the server gave when nobody else asked. At the end the server gets
SIGTERM while all clients go on; a request that was sent and not answered is lost.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

TIMEOUT_S = 60.0
FIRST_PART_S = 60.0
"""Longest first part of a run in seconds, in which memory may grow; in short runs it is a fifth of the run."""
SETTLE_S = 5.0
PAYLOADS = 16


@dataclass
class Found:
    """Results of a run.

    Attributes:
        batch1_per_s: answers per second to one client that sends one request after another.
        rate_per_s: requests per second that were due.
        sent: number of requests under load.
        failures: number of missing answers, and of answers unlike those of a quiet server, by kind.
        p50_ms: median time from the moment a request was due to its answer.
        p99_ms: 99th percentile of the time from the moment a request was due to its answer.
        memory_then_mib: memory of the server's processes after the first part of the run.
        memory_end_mib: memory of the server's processes at the end of the run.
        stopped_answered: requests answered after SIGTERM was sent.
        stopped_lost: requests sent before or after SIGTERM and never answered.
        exit_code: exit code of the server.
    """

    batch1_per_s: float = 0.0
    rate_per_s: float = 0.0
    sent: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    memory_then_mib: float = 0.0
    memory_end_mib: float = 0.0
    stopped_answered: int = 0
    stopped_lost: int = 0
    exit_code: int | None = None

    @property
    def is_good(self) -> bool:
        """Whether no request failed and none was lost; times have no limit."""
        return not self.failures and self.stopped_lost == 0 and self.exit_code == 0 and self.sent > 0


class Client:
    """One connection, kept open as long as the server keeps it."""

    def __init__(self, host: str, port: int, path: str) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        self._path = path

    def ask(self, payload: bytes) -> tuple[int, bytes]:
        self._connection.request("POST", self._path, payload, {"content-type": "application/json"})
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def connect(self) -> None:
        if self._connection.sock is None:
            self._connection.connect()

    def close(self) -> None:
        self._connection.close()


@dataclass(frozen=True)
class Target:
    """A running server, and requests whose answers are known."""

    process: subprocess.Popen[str]
    host: str
    port: int
    path: str
    payloads: list[bytes]
    answers: list[bytes]

    def client(self) -> Client:
        return Client(self.host, self.port, self.path)

    def memory_mib(self) -> float:
        """Resident memory of the server and its workers."""
        return sum(_resident_mib(pid) for pid in _family(self.process.pid))


@contextmanager
def started(folder: Path, options: list[str]) -> Iterator[Target]:
    """The server, in a process of its own, until the block is left."""
    command = [sys.executable, "-m", "fxpasses", "serve", str(folder), "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = re.search(r"http://(?P<host>[^:/]+):(?P<port>\d+)", line)
        if address is None:
            raise SystemExit(f"the server did not start: {line}")
        name, host, port = line.split(" at ")[0], address["host"], int(address["port"])
        _wait_until_ready(host, port)
        path, payloads = f"/v2/models/{name}/infer", _payloads(host, port, name)
        client = Client(host, port, path)
        answers = [_good(client.ask(payload)) for payload in payloads]
        client.close()
        yield Target(process, host, port, path, payloads, answers)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def run_load(target: Target, seconds: float, share: float, clients: int) -> Found:
    """Measure, load and stop a server."""
    found = Found(batch1_per_s=_batch1_throughput(target))
    found.rate_per_s = share * found.batch1_per_s
    _load(target, found, seconds, clients)
    _stop_under_load(target, found, clients)
    return found


def _batch1_throughput(target: Target) -> float:
    client, count = target.client(), 0
    began = time.monotonic()
    while (spent := time.monotonic() - began) < SETTLE_S:
        _good(client.ask(target.payloads[count % PAYLOADS]))
        count += 1
    client.close()
    return count / spent


def _load(target: Target, found: Found, seconds: float, clients: int) -> None:
    total, lock = int(seconds * found.rate_per_s), threading.Lock()
    numbers, latencies, failures = iter(range(total)), list[float](), list[str]()
    began = time.monotonic() + 0.1

    def drive() -> None:
        client = target.client()
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                client.close()
                return
            due = began + number / found.rate_per_s
            time.sleep(max(0.0, due - time.monotonic()))
            problem = _problem(client, target, number % PAYLOADS)
            with lock:
                latencies.append(time.monotonic() - due)
                failures.extend([problem] if problem else [])

    threads = [threading.Thread(target=drive) for _ in range(clients)]
    for thread in threads:
        thread.start()
    time.sleep(min(FIRST_PART_S, seconds / 5))
    found.memory_then_mib = target.memory_mib()
    for thread in threads:
        thread.join()
    found.memory_end_mib = target.memory_mib()
    found.sent, found.failures = len(latencies), {kind: failures.count(kind) for kind in sorted(set(failures))}
    found.p50_ms, found.p99_ms = (float(np.percentile(latencies, p)) * 1000 for p in (50, 99))


def _stop_under_load(target: Target, found: Found, clients: int) -> None:
    lock, stopped = threading.Lock(), threading.Event()

    def drive(number: int) -> None:
        client = target.client()
        while True:
            try:
                client.connect()
            except OSError:  # nobody listens any more
                client.close()
                return
            problem = _problem(client, target, number % PAYLOADS)
            with lock:
                found.stopped_lost += problem is not None
                found.stopped_answered += problem is None and stopped.is_set()

    threads = [threading.Thread(target=drive, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    stopped.set()
    target.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    found.exit_code = target.process.wait(TIMEOUT_S)


def _problem(client: Client, target: Target, index: int) -> str | None:
    """Why the answer to a request is wrong; None if it is the known answer."""
    try:
        status, body = client.ask(target.payloads[index])
    except (OSError, http.client.HTTPException) as error:
        client.close()
        return type(error).__name__
    if status != http.HTTPStatus.OK:
        return f"status {status}"
    return None if body == target.answers[index] else "another answer"


def _good(answer: tuple[int, bytes]) -> bytes:
    status, body = answer
    if status != http.HTTPStatus.OK:
        raise SystemExit(f"a quiet server answers {status}: {body[:300]!r}")
    return body


def _payloads(host: str, port: int, name: str) -> list[bytes]:
    """Requests of one row of seeded noise."""
    with closing(http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)) as connection:
        connection.request("GET", f"/v2/models/{name}")
        inputs = json.loads(connection.getresponse().read())["inputs"]
    generator = np.random.default_rng(0)
    made = []
    for _ in range(PAYLOADS):
        given = []
        for each in inputs:
            shape = [max(1, size) for size in each["shape"]]
            values = generator.normal(size=shape).astype(np.float32)
            data = (values if each["datatype"].startswith("FP") else np.abs(values).astype(np.int64)).ravel().tolist()
            given.append({"name": each["name"], "datatype": each["datatype"], "shape": shape, "data": data})
        made.append(json.dumps({"inputs": given}).encode())
    return made


def _wait_until_ready(host: str, port: int) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        with suppress(OSError), closing(connection):
            connection.request("GET", "/v2/health/ready")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        time.sleep(0.1)
    raise SystemExit("the server does not become ready")


def _resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(r"VmRSS:\s*(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    return [pid, *(each for child in children for each in _family(int(child)))]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="what fxpasses quantize wrote")
    parser.add_argument("--seconds", type=float, default=300.0, help="of load (default: 300)")
    parser.add_argument("--share", type=float, default=0.8, help="of the batch-1 throughput (default: 0.8)")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--workers", type=int, default=1, help="of the server")
    parser.add_argument("--threads", type=int, default=1, help="of each worker")
    given = parser.parse_args(arguments)
    options = ["--workers", str(given.workers), "--threads", str(given.threads)]
    with started(given.folder, options) as target:
        found = run_load(target, given.seconds, given.share, given.clients)
    print(json.dumps(asdict(found), indent=2))
    return 0 if found.is_good else 1


if __name__ == "__main__":
    raise SystemExit(main())
