"""The target of a bundle, and the check that the file's grid fits it.

Integers are the same on every CPU. A grid fits a target if the kernels of that target are fast and exact on it.
Weights whose pairs cannot saturate suit every CPU. Other weights do not suit ``x86-avx2``. Symmetric activations are
for tensor cores: such a grid does not fit a CPU target, and no other grid fits ``cuda``.
"""

from __future__ import annotations

from fxpasses.errors import InputError
from fxpasses.quantization.numbers.targets import AUTO, Target, find_target

PLATFORMS = {"arm": "arm"}
"""``--target_platform`` of onnxruntime's converter, by target; all others run on x86."""
X86_PLATFORM = "amd64"


def device_target(asked: str, file_target: str) -> Target:
    """The target of a bundle; ``"auto"`` is the one that the file was made for.

    Raises:
        InputError: there is no such target, or the grid of the file does not fit it.
    """
    made_for = find_target(file_target)
    target = made_for if asked == AUTO else find_target(asked)
    why = why_not_fit(made_for, target)
    if why:
        raise InputError(
            f"a bundle for the target {target.name} of a model that was quantized for {made_for.name}",
            why=why,
            fix=f'quantize again with `target="{target.name}"`, or leave `target` out',
        )
    return target


def why_not_fit(made_for: Target, target: Target) -> str | None:
    """Why kernels for a target do not suit the grid of another one; None where they do."""
    if made_for.symmetric_activations is not target.symmetric_activations:
        symmetric, other = "int8 activations with zero_point 0", "uint8 activations with a zero_point"
        has, wants = (symmetric, other) if made_for.symmetric_activations else (other, symmetric)
        return f"it has {has}, and {target.name} wants {wants}"
    if target.pair_safe and not made_for.pair_safe:
        return "two of its weights can saturate the 16-bit sums of AVX2's fast kernels"
    return None


def platform_of(target: Target) -> str:
    """Name of the target's platform for onnxruntime's converter: ``"arm"`` or ``"amd64"``."""
    return PLATFORMS.get(target.name, X86_PLATFORM)
