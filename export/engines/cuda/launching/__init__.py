"""Launches of the Triton kernels: operands, windows, tiles, and the measured tiles of each card."""
