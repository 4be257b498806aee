"""Emulated CPUs: what qemu needs, fetched once, and int8 files run under it. For ``every_cpu.py``."""
