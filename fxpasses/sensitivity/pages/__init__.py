"""The results of a sensitivity analysis as JSON, tables, plots and a page."""
