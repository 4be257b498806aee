"""The engine of int8 kernels on x86 and ARM: oneDNN layers, operators on bytes, pools, and the ways in and out."""
