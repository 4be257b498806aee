"""Independent measurements, here or in other processes."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from rich.console import Console

from fxpasses.cli.folders.folder import DataChoice, ModelChoice
from fxpasses.cli.jobs.journaled import answers
from fxpasses.cli.jobs.parallel_jobs import results_of, threads_each
from fxpasses.cli.jobs.subject import Subject
from fxpasses.cli.terminal import Terminal
from fxpasses.errors import InputError
from fxpasses.sensitivity.search.journal import Journal


def doubled(job: int) -> tuple[int, int]:
    return 2 * job, os.getpid()


def test_one_worker_is_this_process_and_keeps_the_order() -> None:
    found = list(results_of(doubled, [3, 1, 2]))
    assert found == [(job, (2 * job, os.getpid())) for job in (3, 1, 2)]


def test_threads_of_this_process_do_every_job() -> None:
    found = dict(results_of(doubled, list(range(7)), workers=3, backend="threading"))
    assert {job: value for job, (value, _) in found.items()} == {job: 2 * job for job in range(7)}


def test_a_worker_gets_its_share_of_the_threads_but_one_at_least() -> None:
    assert [threads_each(8, workers) for workers in (1, 3, 20)] == [8, 2, 1]
    with pytest.raises(InputError, match="workers: 0"):
        threads_each(8, 0)


def test_an_unknown_backend() -> None:
    with pytest.raises(InputError, match="backend 'spark'"):
        list(results_of(doubled, [1, 2], 2, "spark"))


@pytest.mark.parametrize(("backend", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_a_cluster_without_its_package(backend: str, package: str) -> None:
    if importlib.util.find_spec(package) is not None:
        pytest.skip(f"{package} is installed")
    with pytest.raises(InputError, match=f"pip install {package}"):
        list(results_of(doubled, [1, 2], 2, backend))


def dies_once(job: tuple[str, int]) -> int:
    """Kill the process of job 1 the first time it is done."""
    marker, number = Path(job[0]), job[1]
    if number == 1 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def fails(job: int) -> int:
    raise InputError(f"job {job}", why="it always fails", fix="do not ask")


CLUSTERS = [
    pytest.param(backend, marks=pytest.mark.skipif(importlib.util.find_spec(package) is None, reason=f"no {package}"))
    for backend, package in (("dask", "distributed"), ("ray", "ray"))
]
"""Backends of clusters, if their packages are installed; pip install 'fxpasses[cluster]' installs both."""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let workers of a cluster find this file, and stop the backend at the end of the test."""
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    monkeypatch.setenv("PYTHONPATH", path)
    yield
    if "ray" in sys.modules:
        sys.modules["ray"].shutdown()
    if "distributed" in sys.modules:
        with suppress(ValueError):
            client = sys.modules["distributed"].get_client()
            cluster = client.cluster
            client.close()
            cluster.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the packages, about ports and forks
@pytest.mark.parametrize("backend", CLUSTERS)
@pytest.mark.usefixtures("cluster")
class TestClusters:
    def test_every_job_is_done_in_other_processes(self, backend: str) -> None:
        found = dict(results_of(doubled, list(range(5)), 2, backend))
        assert {job: value for job, (value, _) in found.items()} == {job: 2 * job for job in range(5)}
        assert os.getpid() not in {pid for _, pid in found.values()}

    def test_jobs_of_a_killed_worker_are_done_again(self, backend: str, tmp_path: Path) -> None:
        jobs = [(str(tmp_path / "died"), number) for number in range(4)]
        assert {job[1]: value for job, value in results_of(dies_once, jobs, 2, backend)} == {0: 0, 1: 2, 2: 4, 3: 6}
        assert (tmp_path / "died").exists()

    def test_what_a_job_raises_arrives(self, backend: str) -> None:
        with pytest.raises(InputError, match="it always fails"):
            list(results_of(fails, [1, 2], 2, backend))


class Counted:
    """A job that counts how often it was done."""

    times = 0

    def __init__(self, key: str) -> None:
        self.key: list[object] = [key]
        self.subject = Subject(ModelChoice("digits_cnn"), DataChoice("digits"), threads=1)

    def do(self) -> dict[str, object]:
        Counted.times += 1
        return {"key": self.key[0]}


def test_what_the_journal_knows_is_not_done_again_and_the_order_is_that_of_the_jobs(tmp_path: Path) -> None:
    terminal = Terminal(Console(quiet=True), Console(quiet=True))
    jobs = [Counted(key) for key in "abc"]
    Counted.times = 0
    answers("some", jobs[1:2], Journal(tmp_path / "j", {}), 1, "loky", terminal)
    found = answers("all", jobs, Journal(tmp_path / "j", {}), 1, "loky", terminal)
    assert [(job.key[0], answer["key"]) for job, answer in found] == [("a", "a"), ("b", "b"), ("c", "c")]
    assert Counted.times == 3
