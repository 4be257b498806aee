"""The engine of int8 kernels on NVIDIA GPUs, in Triton: layers, operators on bytes, and how a net is called."""
