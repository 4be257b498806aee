"""Emulated CPUs: fetches qemu and its files once, and runs int8 files under it. For ``every_cpu.py``."""
