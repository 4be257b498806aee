"""The engine of int8 kernels on NVIDIA GPUs, in Triton: layers, operators on bytes, and calls of whole nets."""
