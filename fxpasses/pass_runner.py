"""The log of a graph's passes, under the name it had before it moved into ``fxpasses/graph``, for scripts of then."""

from __future__ import annotations

from .graph.pass_runner import pass_logs as pass_logs
