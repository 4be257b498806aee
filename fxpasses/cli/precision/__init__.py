"""``fxpasses quantize`` with every ``--method`` but ``static``."""
