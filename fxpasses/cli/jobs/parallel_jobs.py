"""Run independent measurements, one after the other or in parallel processes; results come as they are done.

Processes are joblib's: local ones by default, those of a Dask or Ray cluster where ``--backend`` says so. A worker gets
nothing but plain settings and opens model and data itself, once: graphs never travel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from fxpasses.errors import InputError

Job = TypeVar("Job")
Result = TypeVar("Result")

LOCAL = "loky"
BACKENDS = (LOCAL, "threading", "dask", "ray")


def threads_each(threads: int, workers: int) -> int:
    """How many of the threads each worker gets.

    Raises:
        InputError: there is not even one worker.
    """
    if workers < 1:
        raise InputError(f"workers: {workers}", why="at least one is needed", fix="ask for 1 or more")
    return max(1, threads // workers)


def results_of(
    work: Callable[[Job], Result], jobs: Sequence[Job], workers: int = 1, backend: str = LOCAL
) -> Iterator[tuple[Job, Result]]:
    """``(job, work(job))`` for every job, in the order they are done.

    Args:
        work: a function of a module, not of a block.
        jobs: picklable.
        workers: processes; 1 works in this one.
        backend: one of ``BACKENDS``.

    Raises:
        InputError: an unknown backend, or one whose package is missing.
    """
    if backend not in BACKENDS:
        raise InputError(f"backend {backend!r}", why="there is no such backend", fix=f"use {', '.join(BACKENDS)}")
    if (workers == 1 and backend == LOCAL) or len(jobs) <= 1:
        for job in jobs:
            yield job, work(job)
        return
    from joblib import Parallel, delayed

    with _configured(backend):
        parallel = Parallel(n_jobs=workers, return_as="generator_unordered")
        yield from parallel(delayed(_tagged)(work, job) for job in jobs)


def _tagged(work: Callable[[Job], Result], job: Job) -> tuple[Job, Result]:
    return job, work(job)


def _configured(backend: str) -> AbstractContextManager[Any]:
    from joblib import parallel_config

    try:
        if backend == "ray":
            from ray.util.joblib import register_ray

            register_ray()
        elif backend == "dask":
            from distributed import Client

            Client()  # DASK_SCHEDULER_ADDRESS says which cluster; without it, one on this machine
    except ImportError as error:
        package = "ray" if backend == "ray" else "distributed"
        raise InputError(
            f"--backend {backend}", why=f"the package {package} is not installed", fix=f"pip install {package}"
        ) from error
    return parallel_config(backend=backend)  # type: ignore[no-any-return]  # joblib is untyped
