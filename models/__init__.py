"""Models, weights, data sets and the training loop, to use the toolkit on.

Import the part that is needed (``from fxpasses.models.zoo import load_model``); nothing heavy is loaded here. The
folder is at the top of the checkout, but its import name is ``fxpasses.models``.
"""

from __future__ import annotations

if __name__ != "fxpasses.models":
    raise ImportError(
        f"this package was imported as {__name__!r}, but its name is 'fxpasses.models': "
        "write `from fxpasses.models import ...` (a top-level name `models` would collide with other projects)"
    )
