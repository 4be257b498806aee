"""Kernels in Triton, for which nothing here is imported but Triton itself."""
