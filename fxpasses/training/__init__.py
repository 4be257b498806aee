"""Quantization-aware training: from a FLOAT graph to a QUANTIZED one whose integers training has seen."""
