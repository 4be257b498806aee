"""Rewrites of an exported ONNX model, so that onnxruntime runs it in int8 and computes what the graph does."""
