"""Knowing where it hurts: what each layer's int8 or each layer's pruning costs, and the cheapest choice that keeps accuracy.

Sits between ``fxpasses.export``, whose runners and files it measures, and the command line.
"""
