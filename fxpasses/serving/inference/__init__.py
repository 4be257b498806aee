"""From a checked request to its answer: tensors and images in, batches, and the session that computes them."""
