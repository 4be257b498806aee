"""This machine: its software and CPU as a report has them, its level of int8 kernels, and what is missing."""
