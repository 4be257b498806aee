"""Ranges of activations from calibration data: histograms, observers, and the search for a range."""
