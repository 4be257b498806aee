"""Other precisions than static int8: half, weight-only, dynamic; layers and operators of LOWERED graphs."""
