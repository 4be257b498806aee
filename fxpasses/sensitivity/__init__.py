"""Knowing where it hurts: what int8 or pruning costs at each layer, and the cheapest choice that keeps accuracy.

Sits between ``fxpasses.export``, whose runners and files it measures, and the command line.
"""
