"""Signal-to-quantization-noise ratio (SQNR)."""

from __future__ import annotations

import math


def sqnr_db(signal: float, noise: float) -> float | None:
    """Signal-to-quantization-noise ratio in decibels; None without signal or without noise."""
    return 10 * math.log10(signal / noise) if signal > 0 and noise > 0 else None
