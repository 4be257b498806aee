"""All translations that the exporter gets from this project."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...onnx_forms.pools import pool_translations
from ...onnx_forms.unpool import unpool_translations
from .aten import aten_translations
from .lowered import lowered_translations
from .quantized import quantized_translations
from .recurrent import recurrent_translations


def every_translation(opset: int) -> dict[Callable[..., Any], Callable[..., Any]]:
    """Translations of one opset for the argument ``custom_translation_table`` of torch.onnx.export."""
    return (
        quantized_translations(opset)
        | aten_translations(opset)
        | pool_translations(opset)
        | unpool_translations(opset)
        | lowered_translations(opset)
        | recurrent_translations(opset)
    )
