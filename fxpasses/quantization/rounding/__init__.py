"""Which integer each weight becomes, learned from what it does to the outputs."""
