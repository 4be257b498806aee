"""``fxpasses quantize`` with every ``--method`` except ``static``."""
