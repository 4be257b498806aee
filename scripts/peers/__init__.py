"""Contestants of ``compare_peers.py``: each quantizes in a process of its own."""
