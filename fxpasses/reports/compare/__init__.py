"""Several runs, or one run on several machines, beside each other: as a page, Markdown and CSV."""
