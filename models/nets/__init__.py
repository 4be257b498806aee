"""Small nets to use the toolkit on."""
