"""Lab 1's keyword net: spoken digits, the net, bits after training, and the sections on quantization."""
