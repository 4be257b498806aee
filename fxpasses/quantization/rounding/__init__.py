"""Learned rounding: choose the integer of each weight by its effect on the outputs."""
