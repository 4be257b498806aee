"""The files of a bundle, by name. All lie in its root."""

from __future__ import annotations

INT8_ONNX = "model.int8.onnx"
FLOAT_ONNX = "model.fp32.onnx"
IMAGE_ONNX = "image.int8.onnx"
"""File of the int8 model with preprocessing in the graph; its input is uint8 ``[N, H, W, C]``."""
INT8_ORT = "model.int8.ort"
IMAGE_ORT = "image.int8.ort"
OPERATORS = "required_operators_and_types.config"
NAMES = "names.json"
HF_CONFIG = "config.json"
HF_PREPROCESSOR = "preprocessor_config.json"
EXPECTED = "expected.npz"
CARD = "MODEL_CARD.md"
RUN = "run.py"
ABOUT = "bundle.json"

SOURCE_PT2 = "model.int8.pt2"
SOURCE_INTEGERS = "integers.npz"
SOURCE_REPORT = "report.json"
"""Name of the report in the folder of a quantization; read there with the ONNX files, the graph and the integers."""

ALL = (
    *(INT8_ONNX, FLOAT_ONNX, IMAGE_ONNX, INT8_ORT, IMAGE_ORT, OPERATORS, NAMES, HF_CONFIG, HF_PREPROCESSOR),
    *(EXPECTED, CARD, RUN, ABOUT),
)
