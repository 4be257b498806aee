"""Loads weights from files into a module: common forms of checkpoints, never code."""

from __future__ import annotations

from .load import load_weights as load_weights
