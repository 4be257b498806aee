"""From a FLOAT graph to a QUANTIZED one: plan, observe, convert, and what can be proved of the result."""
