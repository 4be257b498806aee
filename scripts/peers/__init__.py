"""Contestants of ``compare_peers.py``; each quantizes in its own process."""
