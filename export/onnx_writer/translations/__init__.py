"""Translate operators to ONNX: those of QUANTIZED and LOWERED graphs, recurrent layers, and those that torch lacks."""
