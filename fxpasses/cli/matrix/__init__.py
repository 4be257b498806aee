"""``fxpasses bench --matrix``: variants from one folder or two, measured in turns, and the files of results."""
