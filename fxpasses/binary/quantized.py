from __future__ import annotations
binary_config = quantize_binary = None
