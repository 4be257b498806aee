"""Engines: int8 kernels behind one interface. Only here may ``torch.ao`` or ``torch.ops.quantized`` be named."""
