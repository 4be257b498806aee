"""Static int8 quantization: its public calls and settings; folders for numbers, ranges, int8, repairs and rounding."""
