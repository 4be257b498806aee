"""Images into a bundled model: what it is fed, and preprocessing as nodes of its ONNX graph."""
