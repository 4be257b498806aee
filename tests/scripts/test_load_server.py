"""The script that drives a server: it counts what fails and what is lost, and sees a server that answers otherwise."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import load_server
import pytest
from load_server import Found, Target
from served import Served, served, tiny_folder


def target(server: Served, **changes: Any) -> Target:
    """A server in this process, in place of one in another."""

    def stop(_number: int) -> None:
        server.stop()

    process: Any = SimpleNamespace(pid=os.getpid(), send_signal=stop, wait=lambda _timeout: 0)
    payloads = load_server._payloads("127.0.0.1", server.port, server.model.name)
    answers = [server.ask(server.infer, payload).body for payload in payloads]
    given = {"payloads": payloads, "answers": answers, "path": server.infer} | changes
    return Target(process, "127.0.0.1", server.port, **given)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Found]:
    monkeypatch.setattr(load_server, "SETTLE_S", 0.2)

    def run(**changes: Any) -> Found:
        with served(tiny_folder(tmp_path / "f"), drain_s=0.2) as server:
            return load_server.run_load(target(server, **changes), seconds=0.5, share=0.5, clients=3)

    return run


def test_a_good_server(run: Callable[..., Found]) -> None:
    found = run()
    assert found.is_good, found
    assert found.sent == int(0.5 * found.rate_per_s) and found.rate_per_s == 0.5 * found.batch1_per_s
    assert 0 < found.p50_ms <= found.p99_ms and found.memory_then_mib > 10 and found.stopped_answered > 0


def test_other_answers_are_seen(run: Callable[..., Found]) -> None:
    found = run(answers=[b"{}"] * load_server.PAYLOADS)
    assert found.failures == {"another answer": found.sent} and not found.is_good


@pytest.mark.parametrize(
    "bad", [{"failures": {"status 500": 1}}, {"stopped_lost": 1}, {"exit_code": 1}, {"exit_code": None}, {"sent": 0}]
)
def test_what_is_not_good(bad: dict[str, Any]) -> None:
    assert Found(sent=10, exit_code=0).is_good
    assert not Found(**{"sent": 10, "exit_code": 0, **bad}).is_good


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str], workers: str) -> None:
    folder = tiny_folder(tmp_path / "f")
    load_server.main([str(folder), "--seconds", "10", "--workers", workers])  # its status also depends on latencies
    found = json.loads(capsys.readouterr().out)
    assert found["sent"] > 50 and found["failures"] == {} and found["stopped_lost"] == 0
    assert found["memory_end_mib"] < 1.1 * found["memory_then_mib"]
