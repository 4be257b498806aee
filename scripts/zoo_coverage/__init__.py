"""Models and the one case that ``coverage.py`` runs for each of them."""
