"""The scale of images before their centre is cut out, the same in data sets and in the graphs that bundles write.

This module imports nothing: a server reads images without torch.
"""

RESIZE_RATIO = 256 / 224
"""Ratio of a scaled image's shorter side to the model's input."""
