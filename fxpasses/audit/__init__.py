"""What onnxruntime computes in int8 in an ONNX file, and why it computes the rest in float."""
