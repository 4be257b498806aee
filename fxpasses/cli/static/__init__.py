"""``fxpasses quantize --method static``: settings from options, a recipe or a search; then the folder."""
