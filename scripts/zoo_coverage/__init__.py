"""Models that ``coverage.py`` runs, and the program it runs for each of them."""
