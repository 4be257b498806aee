"""The settings of quantization-aware training, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from ..errors import InputError
from ..quantization.config import LARGEST_BITS, SMALLEST_BITS, Override, QuantConfig
from ..quantization.repair_table import Phase, settings_off


def check_training_bits(what: str, bits: int) -> None:
    """Raise :class:`InputError` for a number of bits that int8 kernels do not support."""
    if isinstance(bits, bool) or not isinstance(bits, int) or not SMALLEST_BITS <= bits <= LARGEST_BITS:
        raise InputError(
            f"`{what}={bits!r}`",
            why=f"training knows weights and activations of {SMALLEST_BITS} to {LARGEST_BITS} bits",
            fix=f"use a whole number from {SMALLEST_BITS} to {LARGEST_BITS}",
        )


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of the quantization that a training prepares for.

    Attributes:
        quant: target, equalization, overrides and the other settings of post-training quantization; the ``weight_bits``
            of an override have priority over ``weight_bits`` and ``end_bits`` here.
        weight_bits: 2 to 8, for every layer except the first and the last.
        activation_bits: 2 to 8, for the inputs of these layers. Sums and other tensors that no layer reads have 8.
        end_bits: 2 to 8, for weights and inputs of the first and the last layer.
        ranges: ranges of activations: ``"learned"`` as parameters (LSQ), or ``"observed"`` as moving averages.

    Raises:
        InputError: bits outside 2 to 8, unknown ranges, or a ``quant`` that training does not support.
    """

    quant: QuantConfig = field(default_factory=QuantConfig)
    weight_bits: int = 8
    activation_bits: int = 8
    end_bits: int = 8
    ranges: Literal["learned", "observed"] = "learned"

    def __post_init__(self) -> None:
        check_training_bits("weight_bits", self.weight_bits)
        check_training_bits("activation_bits", self.activation_bits)
        check_training_bits("end_bits", self.end_bits)
        if self.ranges not in ("learned", "observed"):
            raise InputError(f"ranges {self.ranges!r}", why="there are no such", fix="use 'learned' or 'observed'")
        self._check_quant()

    def _check_quant(self) -> None:
        alien = {
            "activation_bits=16": self.quant.activation_bits != LARGEST_BITS,
            "group_size": self.quant.group_size is not None,
            "tie_free=False": not self.quant.tie_free,
            'observer="sweep"': self.quant.sweeps,
        }
        refused = [name for name, is_asked in alien.items() if is_asked]
        if refused:
            raise InputError(
                f"QuantConfig({', '.join(refused)}) for training",
                why="training has one learned step for each channel and tensor, on tie-free grids of at most 8 bits",
                fix="leave it out of TrainingConfig.quant",
            )

    def observing(self, overrides: tuple[Override, ...] = ()) -> QuantConfig:
        """Settings to observe and convert the graph with: 8-bit weight grids, and no correction of biases or
        statistics.
        """
        return replace(
            self.quant,
            **settings_off(Phase.CONVERSION) | {"rounding": "learned"},
            weight_bits=LARGEST_BITS,
            bias_correction=False,
            overrides=(*self.quant.overrides, *overrides),
        )
