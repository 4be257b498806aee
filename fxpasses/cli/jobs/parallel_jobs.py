"""Run independent measurements, one after the other or in parallel processes; each result comes as soon as it is ready.

Local processes, and those of a Dask cluster, are started by joblib. A Ray cluster is used directly, since joblib's
adapter for Ray cannot give results as they are done. A worker gets only plain settings and opens model and data itself,
once; graphs are never sent. If a worker dies, another one does its jobs again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any, TypeVar

from fxpasses.errors import InputError

Job = TypeVar("Job")
Result = TypeVar("Result")

LOCAL = "loky"
DASK, RAY = "dask", "ray"
BACKENDS = (LOCAL, "threading", DASK, RAY)


def threads_each(threads: int, workers: int) -> int:
    """Number of threads for each worker.

    Raises:
        InputError: there is not even one worker.
    """
    if workers < 1:
        raise InputError(f"workers: {workers}", why="at least one is needed", fix="ask for 1 or more")
    return max(1, threads // workers)


def results_of(
    work: Callable[[Job], Result], jobs: Sequence[Job], workers: int = 1, backend: str = LOCAL
) -> Iterator[tuple[Job, Result]]:
    """Yield ``(job, work(job))`` for every job, in the order they are done.

    Args:
        work: a function at module level, so that it can be sent to another process.
        jobs: picklable.
        workers: number of processes; 1 works in this one.
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
    if backend == RAY:
        yield from _on_ray(work, jobs, workers)
        return
    from joblib import Parallel, delayed

    with _configured(backend):
        parallel = Parallel(n_jobs=workers, return_as="generator_unordered")
        yield from parallel(delayed(_tagged)(work, job) for job in jobs)


def _tagged(work: Callable[[Job], Result], job: Job) -> tuple[Job, Result]:
    return job, work(job)


def _configured(backend: str) -> AbstractContextManager[Any]:
    from joblib import parallel_config

    if backend == DASK:
        try:
            from distributed import Client
        except ImportError as error:
            raise _missing(backend, "distributed") from error
        Client()  # DASK_SCHEDULER_ADDRESS names the cluster; without it, one on this machine is started
    return parallel_config(backend=backend)  # type: ignore[no-any-return]  # joblib is untyped


def _on_ray(work: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, Result]]:
    """Run as many jobs at a time as there are workers. RAY_ADDRESS names the cluster; without it, one starts here."""
    try:
        import ray
    except ImportError as error:
        raise _missing(RAY, "ray") from error
    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
    task = ray.remote(num_cpus=1)(_tagged)
    waiting, running = iter(jobs), list[Any]()
    try:
        while True:
            running += [task.remote(work, job) for job in islice(waiting, workers - len(running))]
            if not running:
                return
            done, running = ray.wait(running)
            yield from (_result(one) for one in done)
    finally:
        for one in running:
            ray.cancel(one)


def _result(reference: Any) -> Any:
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error  # the exception that the job itself raised


def _missing(backend: str, package: str) -> InputError:
    return InputError(
        f"--backend {backend}", why=f"the package {package} is not installed", fix=f"pip install {package}"
    )
