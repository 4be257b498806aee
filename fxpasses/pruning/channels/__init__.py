"""Removes channels: choose them, shrink the graph, and adjust the weights of the channels left."""
