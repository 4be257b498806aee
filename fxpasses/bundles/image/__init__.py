"""Images as input of a bundled model: their description, and preprocessing as nodes of the ONNX graph."""
