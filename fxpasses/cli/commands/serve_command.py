"""``fxpasses serve DIR``: serve a model over HTTP."""

from __future__ import annotations

from .. import interruption
from ..options import shared
from ..options.serve import ServeOptions
from ..options.table import takes_groups
from ..terminal import open_terminal


@takes_groups
def serve_command(folder: shared.Folder, options: ServeOptions) -> None:
    """Serve the quantized model of a folder: the Open Inference Protocol, and /predict for images.

    It listens to this machine only, until Ctrl-C or SIGTERM; then it answers what it has begun.
    """
    with open_terminal() as terminal:
        settings = options.settings(folder)
        from fxpasses.layouts.deployed_model import deployed_model
        from fxpasses.serving.extra import require_extra

        require_extra()
        from fxpasses.serving.server import listen, serve, url_of

        model = deployed_model(folder, options.name)
        listener = listen(settings)
        terminal.results.print(
            f"{model.name} at {url_of(settings, listener)} - Ctrl-C ends it", markup=False, soft_wrap=True
        )
        serve(model, settings, listener)
        interruption.forget()
