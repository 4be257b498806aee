"""Rewrite a graph while it is captured: casts, constants, paddings, views as complex numbers, in-place operators."""
