"""The last phase: BatchNorms folded, scales settled, and a graph that computes what int8 will."""
