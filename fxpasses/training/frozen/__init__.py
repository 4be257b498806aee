"""The last phase of training: BatchNorms folded, scales settled, and a graph that computes the int8 integers."""
