"""Agreement of two runtimes: parity node by node, digests of integers, and the promised limits."""
