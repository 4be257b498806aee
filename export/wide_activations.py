"""Limits of graphs with 16-bit activations: the possible files and engines, and errors for all others.

No CPU kernel of onnxruntime or torch computes on them: between the Q/DQ pairs both compute in float32, and onnxruntime
dequantizes the weights at every run. Measured with onnxruntime 1.31 on x86, one thread, cifar_resnet20 takes 2.0 times
as long as fp32 and mobilenet_v2 2.4 times. They are for accuracy, and for accelerators with such kernels.
"""

from __future__ import annotations

from torch import fx

from fxpasses.errors import InputError
from fxpasses.graph.stages import Stage, config_of, stage_of

WIDE_OPSET = 21
"""First opset whose QuantizeLinear has 16 bits."""

WIDE_REMARK = (
    "activations have 16 bits: no CPU kernel takes them, so torch and onnxruntime compute in float32 between the "
    "integers, slower than fp32; they are for accuracy, and for accelerators with such kernels"
)
"""Remark for users of such files."""


def has_wide_activations(gm: fx.GraphModule) -> bool:
    """Whether a graph is QUANTIZED with 16-bit activations."""
    return stage_of(gm) is Stage.QUANTIZED and config_of(gm).activation_bits > 8


def check_wide_file(form: str, opset: int | None) -> None:
    """Raise InputError for an ONNX form or opset without 16-bit integers."""
    if form != "qdq":
        raise InputError(
            f"form {form!r} with activations of 16 bits",
            why="onnxruntime's operators on integers take 8 bits",
            fix="use form 'qdq'",
        )
    if opset is not None and opset < WIDE_OPSET:
        raise InputError(
            f"opset {opset} with activations of 16 bits",
            why=f"QuantizeLinear has them from opset {WIDE_OPSET} on",
            fix=f"leave it out, or use {WIDE_OPSET}",
        )


def wide_engine(engine: str | None) -> str:
    """The engine for 16-bit activations: ``"plain"``, which computes in float between the integers.

    Raises:
        InputError: an engine of 8-bit kernels was requested.
    """
    if engine == "x86":
        raise InputError(
            "engine 'x86' with activations of 16 bits",
            why="its kernels take 8 bits",
            fix="leave it out: 'plain' computes in float between the integers; or use 'reference'",
        )
    return engine or "plain"
