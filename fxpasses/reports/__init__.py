"""``report.json`` and what people read of it: numbers, words and alerts, in the terminal and as a page."""
