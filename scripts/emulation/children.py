"""Child processes that run side by side; none of them outlives the block it was started in."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Ended:
    """Result of a child; ``returncode`` is None if it took too long and was killed."""

    returncode: int | None
    printed: str


class Children:
    """Starts children, from any thread; children that still run at the end of the block are killed."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closed = True
            for child in self._running:
                child.kill()

    def run(self, command: Sequence[str], environment: Mapping[str, str], errors: Path, limit_s: float) -> Ended:
        """Run a command to its end; its stderr goes to the file ``errors``."""
        with errors.open("w", encoding="utf-8") as written:
            with self._lock:
                if self._closed:
                    return Ended(None, "")
                child = subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=written, text=True, env=dict(environment)
                )
                self._running.add(child)
            try:
                printed, _ = child.communicate(timeout=limit_s)
            except subprocess.TimeoutExpired:
                child.kill()
                printed, _ = child.communicate()
                return Ended(None, printed)
            finally:
                with self._lock:
                    self._running.discard(child)
        return Ended(child.returncode, printed)


def side_by_side(work: Callable[[Given], Made], given: Iterable[Given], children: Children, jobs: int) -> list[Made]:
    """Call ``work`` for each item, ``jobs`` at a time, and return results in order; the first failure ends all
    children.
    """
    with ThreadPoolExecutor(jobs) as pool:
        futures: list[Future[Made]] = [pool.submit(work, one) for one in given]
        try:
            return [future.result() for future in futures]
        except BaseException:
            children.__exit__(None, None, None)
            for future in futures:
                future.cancel()
            raise
