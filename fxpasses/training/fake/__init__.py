"""Prepares training: layers with fake-quantized weights, activations on learned grids, bits of each layer."""
