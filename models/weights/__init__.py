"""Loads weights from files into a module: common forms of checkpoints, never code."""
