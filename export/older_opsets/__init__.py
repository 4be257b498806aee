"""ONNX opsets 13 to 17: rewrites of a model of opset 18, operator by operator, and a check that results stay."""
