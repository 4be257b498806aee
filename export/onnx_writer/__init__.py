"""A graph becomes an ONNX file: translations of operators, limits, versions, and a check of what was written."""
