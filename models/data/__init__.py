"""Data sets by kind: published files and folders, read into batches."""
