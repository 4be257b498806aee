"""Graphs: the vocabulary of operators, stages, shapes, and the only ways to look into or change a graph."""
