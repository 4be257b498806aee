"""Models and data from the caller's own Python file, each answer checked."""
