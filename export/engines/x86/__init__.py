"""The engine of int8 kernels on x86 and ARM: oneDNN layers, operators on bytes, pools, conversions of floats."""
