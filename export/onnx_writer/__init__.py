"""Write a graph as an ONNX file: translations of operators, limits, versions, and a check of the written file."""
