"""This machine: its software and CPU for reports, its level of int8 kernels, and missing packages."""
