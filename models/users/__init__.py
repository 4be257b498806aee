"""Models and data from the caller's own Python file; all their results are checked."""
