"""Finds the channels that must be removed together: labels of every dimension, and a rule for each operator."""
