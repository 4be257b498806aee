"""Precisions other than static int8: half, weight-only, dynamic; and the layers and operators of LOWERED graphs."""
