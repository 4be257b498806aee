"""Metrics for Prometheus: requests by route and status, batches, the queue.

With several workers, each writes its counts to files in the folder ``PROMETHEUS_MULTIPROC_DIR``. The worker that
answers a request for metrics adds up the counts of all workers.
"""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The counters of one server process."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self._requests = Counter("fxpasses_requests", "Requests answered.", ["route", "status"], registry=registry)
        self._seconds = Histogram(
            "fxpasses_request_seconds",
            "From the first byte to the answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._batch_rows = Histogram("fxpasses_batch_rows", "Rows of a batch.", buckets=_ROWS, registry=registry)
        self._batch_seconds = Histogram(
            "fxpasses_batch_seconds", "Time that onnxruntime took for a batch.", buckets=_SECONDS, registry=registry
        )
        self._waiting = Gauge(
            "fxpasses_unanswered_requests",
            "Inference requests taken in and not yet answered.",
            multiprocess_mode="livesum",
            registry=registry,
        )

    def request_done(self, route: str, status: int, seconds: float) -> None:
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def batch_done(self, rows: int, seconds: float) -> None:
        self._batch_rows.observe(rows)
        self._batch_seconds.observe(seconds)

    def waiting(self, requests: int) -> None:
        self._waiting.set(requests)

    def text(self) -> bytes:
        """The metrics of all workers in Prometheus's text format."""
        if FOLDER not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)
        return generate_latest(together)
