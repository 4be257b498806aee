"""What commands do as Python calls: prune, bench, audit, report and load, with results that print and become JSON."""
