"""Lab 5: MiniCIFAR, and networks of few bits."""
