"""Kernels in Triton; the files import nothing but Triton."""
