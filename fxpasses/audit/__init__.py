"""Audit of an ONNX file: the operators that onnxruntime computes in int8, and the reasons for the others in float."""
