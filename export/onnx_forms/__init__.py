"""Rewrites of an exported ONNX model, after which onnxruntime runs it in int8 and with the graph's results."""
