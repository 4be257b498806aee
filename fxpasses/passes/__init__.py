"""Passes over FLOAT graphs: each finds places and changes them, or says why not; the model computes what it did."""
