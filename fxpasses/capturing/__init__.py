"""Capture: turn an ``nn.Module`` into a FLOAT graph of known operators."""
