"""Passes over FLOAT graphs: each changes its candidates or logs why not; the results stay the same."""
