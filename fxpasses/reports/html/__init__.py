"""``report.html``; each section has its own file."""
