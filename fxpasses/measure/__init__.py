"""Measurements of artifacts: accuracy by a metric, latency, size, and the difference of each output from float."""
