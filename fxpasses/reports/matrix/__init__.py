"""The benchmark matrix for readers: in the terminal, as Markdown, CSV and a page."""
