"""Linear quantization written out in numpy and torch: mapping, layers, and a chain of integers."""
