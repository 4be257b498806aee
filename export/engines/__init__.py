"""Engines: int8 kernels with one interface. Only this folder may use ``torch.ao`` and ``torch.ops.quantized``."""
