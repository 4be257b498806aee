"""The benchmark matrix as people read it: in the terminal, as Markdown, CSV and a page."""
