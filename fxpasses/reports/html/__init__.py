"""``report.html``, a section in a file each."""
