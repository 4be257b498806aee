"""Whole detectors of torchvision: layers in int8, boxes and non-maximum suppression in float, in both runtimes."""

from __future__ import annotations

from .detector import Detector as Detector
from .file.onnx_detector import OnnxDetector as OnnxDetector
from .quantizing import quantize_detector as quantize_detector
