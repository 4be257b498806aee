"""Faults: commands that are killed or interrupted, or run out of disk, at random moments. For
``fault_injection.py``.
"""
