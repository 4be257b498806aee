"""Graphs: the vocabulary of operators, stages, shapes, and the functions through which graphs are read and changed."""
