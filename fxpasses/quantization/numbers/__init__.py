"""The arithmetic of int8: linear mapping, integer types, tie-free scales, weight groups, targets and operators."""
