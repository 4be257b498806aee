"""Static int8 quantization: its public calls, its settings, and rooms for numbers, ranges, int8, repairs, rounding."""
