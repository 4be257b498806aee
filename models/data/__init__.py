"""Data sets by kind: files and folders as they are published, read into batches."""
