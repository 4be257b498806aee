"""Comparison of two models, operator by operator: both are read, matched, and shown as text and as a picture."""
