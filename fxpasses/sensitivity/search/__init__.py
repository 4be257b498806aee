"""Searches for the cheapest model that keeps accuracy, and the recipes they end in."""
