"""Lab 1's VGG: the net, fine-grained pruning, and channels."""
