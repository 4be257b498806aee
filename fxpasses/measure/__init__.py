"""Measurements of artifacts: accuracy by a metric, latency, size, and how far each output is from float."""
