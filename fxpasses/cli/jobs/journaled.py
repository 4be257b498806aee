"""Runs jobs and keeps their answers in a journal: a job that has an answer there is not run again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from fxpasses.measure.runners import torch_threads
from fxpasses.sensitivity.search.journal import Journal

from ..terminal import Terminal
from .parallel_jobs import results_of
from .subject import Subject


class Job(Protocol):
    """Plain settings of one measurement; ``do`` opens what it needs and returns a value that JSON can hold."""

    @property
    def subject(self) -> Subject: ...

    @property
    def key(self) -> list[object]: ...

    def do(self) -> dict[str, Any]: ...


J = TypeVar("J", bound=Job)


def done(job: Job) -> dict[str, Any]:
    """Do a job on as many threads as its subject says. A function of the module can be sent to another process."""
    with torch_threads(job.subject.threads):
        return job.do()


def answers(
    what: str, jobs: Sequence[J], journal: Journal, workers: int, backend: str, terminal: Terminal
) -> list[tuple[J, dict[str, Any]]]:
    """Return every job with its answer, in the order of the jobs; shown as one step of the terminal."""
    missing = [job for job in jobs if journal.get(job.key) is None]
    if len(missing) < len(jobs):
        terminal.remark(f"{len(jobs) - len(missing)} of {len(jobs)} measurements are taken from {journal.path}")
    work: Callable[[J], dict[str, Any]] = done
    with terminal.step(what, len(jobs)) as step:
        step.advance(len(jobs) - len(missing))
        for job, answer in results_of(work, missing, workers, backend):
            journal.put(job.key, answer)
            step.advance(1)
    return [(job, journal.get(job.key) or {}) for job in jobs]
