"""Do two runtimes compute the same integers? Parity node by node, digests, and what is promised."""
