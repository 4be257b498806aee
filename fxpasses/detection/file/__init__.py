"""One ONNX file of a whole detector: float steps around the int8 layers, a check of the file, and its runner."""
