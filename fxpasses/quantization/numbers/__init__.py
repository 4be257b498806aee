"""The arithmetic of int8: linear mapping, grids, tie-free scales, weight groups, targets and operators."""
