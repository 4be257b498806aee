"""Python calls that do the work of commands: prune, bench, audit, report and load; results print and become JSON."""
