"""``fxpasses quantize --method static``: get settings from options, a recipe or a search; then write the folder."""
