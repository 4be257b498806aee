"""Signature of a graph: structure, names, shapes and free sizes of its inputs and outputs."""
