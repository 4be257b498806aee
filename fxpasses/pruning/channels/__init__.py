"""Remove channels: choose them, shrink the graph, and let the channels left make up for them."""
