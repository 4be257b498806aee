"""The level of int8 kernels of a model: the instructions of this CPU, and the way in which sums stay exact.

========================  =============================================================================
VNNI                      x86: uint8 x int8, summed in 32 bits
AVX2 pair-safe            x86 without VNNI: pairs summed in 16 bits, with weights that cannot saturate them
AVX2 exact                x86 without VNNI: slower kernels for other weights (float32 in PyTorch, uint8 weights in
                          onnxruntime)
NEON, SDOT, SMMLA         64-bit ARM: without and with the dot product, with products of matrices
========================  =============================================================================

On x86 CPUs without AVX2 the names contain ``SSE`` instead. The kernels themselves are tested for saturation.
"""

from __future__ import annotations

from torch import fx

from fxpasses.cpu import cpu_flags, is_arm, is_x86
from fxpasses.export.engines.saturation import saturates
from fxpasses.export.exact_sums import runtime_saturates
from fxpasses.quantization.int8.exactness import unsafe_layers

UNKNOWN = "unknown"


def kernel_levels(gm: fx.GraphModule) -> dict[str, str]:
    """The level of each runtime on this machine for a QUANTIZED graph: ``torch`` and ``onnxruntime``."""
    safe = not unsafe_layers(gm)
    return {
        "torch": kernel_level(saturates("onednn"), safe),
        "onnxruntime": kernel_level(runtime_saturates(), safe),
    }


def kernel_level(saturating: bool, safe: bool, flags: tuple[str, ...] | None = None) -> str:
    """The name of a level.

    Args:
        saturating: whether the runtime's kernels add pairs of products in 16 bits here.
        safe: whether the weights cannot saturate these sums.
        flags: flags of the CPU; those of this machine by default.
    """
    flags = cpu_flags() if flags is None else flags
    if is_arm():
        return "SMMLA" if "i8mm" in flags else "SDOT" if "asimddp" in flags else "NEON"
    if not is_x86():
        return UNKNOWN
    if not saturating:
        return "VNNI"
    return f"{'SSE' if flags and 'avx2' not in flags else 'AVX2'} {'pair-safe' if safe else 'exact'}"
