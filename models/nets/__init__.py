"""Small nets that the toolkit is tried on."""
