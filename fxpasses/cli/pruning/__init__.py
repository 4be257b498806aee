"""``fxpasses prune``, and the pruning half of ``fxpasses sensitivity``."""
