"""A model from any source as a list of steps: one step for each operator, in the order in which they run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

LAYERS = frozenset(
    {
        *("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
        *("linear", "embedding", "recurrent", "attention"),
    }
)
"""Operators with weights by which models are matched; norms are left out, since they are folded away."""
NORMS = frozenset({"batch_norm"})
ACTIVATIONS = frozenset({"relu", "clip"})
"""Activations that the saturation of an integer can replace."""
_FLOATS = frozenset({"float32", "float16", "bfloat16", "float64"})


@dataclass(frozen=True, eq=False)
class Weight:
    """A layer's weight: floats, or integers of which ``dtype`` says the kind."""

    values: Tensor
    dtype: str

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.values.shape)

    @property
    def zeros(self) -> float:
        """The share of zeros."""
        return float((self.values == 0).float().mean()) if self.values.numel() else 0.0

    def __str__(self) -> str:
        return f"{self.dtype} {'x'.join(map(str, self.shape))}"


@dataclass(frozen=True, eq=False)
class Step:
    """One operator.

    Attributes:
        name: name of its result, by which other steps refer to it.
        operator: in the project's vocabulary, or as the file calls it.
        module: the path of the layer in the original model; None where it is none, or the source does not say.
        precision: type of its result: ``float32``, ``uint8``.
        grid: scale and zero point of integers; empty for floats.
        moves: whether it only moves or selects values, on the scale of its input.
        on_integers: whether it computes on integers, even if its result is float.
        shape: shape of its result, without the batch; None if the source does not say.
        weight: the weight, if it is a layer.
        inputs: names of the steps it reads.
        folded: names of nodes that were folded into it when it was made.
    """

    name: str
    operator: str
    module: str | None = None
    precision: str = "float32"
    grid: str = ""
    moves: bool = False
    on_integers: bool = False
    shape: tuple[int, ...] | None = None
    weight: Weight | None = None
    inputs: tuple[str, ...] = ()
    folded: tuple[str, ...] = ()

    @property
    def is_layer(self) -> bool:
        return self.operator in LAYERS and self.weight is not None

    @property
    def is_float(self) -> bool:
        return self.precision in _FLOATS and not self.on_integers

    @property
    def title(self) -> str:
        """Name to show to people: the path of a layer, or the name of any other step."""
        return self.module if self.module and (self.weight is not None) else self.name


@dataclass(frozen=True)
class ModelSteps:
    """A whole model.

    Attributes:
        name: as the user knows it.
        kind: ``FLOAT graph``, ``ONNX file``.
        steps: in the order they run.
    """

    name: str
    kind: str
    steps: Sequence[Step] = field(default_factory=tuple)

    @property
    def layers(self) -> list[Step]:
        return [step for step in self.steps if step.is_layer]
