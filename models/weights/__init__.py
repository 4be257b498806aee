"""Weights from files into a module: checkpoints as people have them, never code."""
