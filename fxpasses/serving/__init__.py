"""``fxpasses serve``: an HTTP server for one model, with batches, limits, metrics and a graceful stop."""
