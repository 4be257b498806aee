"""What a graph takes and gives: structure, names, shapes and free sizes of inputs and outputs."""
