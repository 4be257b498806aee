"""``report.json`` and its presentation: numbers, words and alerts, in the terminal and as a page."""
