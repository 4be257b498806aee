"""Capture: an ``nn.Module`` becomes a FLOAT graph in the one vocabulary of operators."""
