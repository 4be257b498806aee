"""From a FLOAT graph to a QUANTIZED one: plan, observe, convert, and check which guarantees hold for the result."""
