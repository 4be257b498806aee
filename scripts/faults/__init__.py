"""Faults: commands that are killed, interrupted, and out of disk at random moments. For ``fault_injection.py``."""
