"""Models whose batch is not dimension 0 of every input and output: where it is, and data that has it there.

The caller's example inputs may be ``[T, B, C]`` beside a state ``[layers, B, H]``. The model is run with some samples
repeated along the dimensions that may be the batch (:func:`fxpasses.signature.free_sizes.learn_batch`). Data sources
count, split and join samples along dimension 0; :class:`PlacedData` gives their batches the model's layout.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from fxpasses.capturing.checks import run_model
from fxpasses.errors import GraphError, InputError
from fxpasses.models.data.data_source import CALIBRATION_BATCH, EVALUATION_BATCH, DataSource
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.model_input import InputShape, TakesInput, placed_in, without_dim
from fxpasses.signature.free_sizes import BATCH, Dims, learn_batch


def with_batch_dims(model: LoadedModel) -> LoadedModel:
    """Return the model with the dimension of the batch in each of its example inputs and outputs.

    Raises:
        InputError: an example input has no samples.
        GraphError: the model does not run.
    """
    if not model.examples:
        return model
    found = learn_batch(model.module, model.examples, run_model(model.module, model.examples))
    dims = [_batch_of(dims) for dims in found.inputs]
    outputs = tuple(_batch_of(dims) for dims in found.outputs)
    if None in dims:
        _require_samples(model, dims)
        _require_other_sizes(model)
        return model
    places = tuple(dim for dim in dims if dim is not None)
    shape = without_dim(tuple(model.examples[0].shape), places[0])
    return replace(model, input_shape=shape, batch_dims=places if any(places) else (), output_dims=outputs)


def _batch_of(dims: Dims) -> int | None:
    return next((dim for dim, name in dims.items() if name == BATCH), None)


def _require_samples(model: LoadedModel, dims: Sequence[int | None]) -> None:
    """Raise InputError unless dimension 0 can be the batch of all inputs: nothing else was found."""
    counts = [len(example) for example in model.examples]
    if len(set(counts)) == 1:
        return
    known = [number for number, dim in enumerate(dims) if dim is not None]
    number = dims.index(None) if known else next(n for n, count in enumerate(counts) if count != counts[0])
    raise InputError(
        f"{model.name}: example input {number} has the shape {list(model.examples[number].shape)}",
        why="no dimension of it is the batch, with as many samples as the other inputs have",
        fix="give every input a sample for each of the batch, or make a constant of it inside the module",
    )


def _require_other_sizes(model: LoadedModel) -> None:
    """Raise InputError for a model that takes its example inputs and no other number of samples along dimension 0."""
    samples = len(model.examples[0])
    try:
        run_model(model.module, model.example_inputs(2 * samples))
    except GraphError as error:
        raise InputError(
            f"{model.name} takes batches of one size",
            why=f"twice the example inputs along dimension 0 are too much: {error.why}",
            fix="return a model, and example inputs [B, ...], of which any number of samples are taken; "
            "fx.quantize(model, inputs, batches) in Python takes inputs without a batch",
        ) from error


def placed_data(data: DataSource, model: TakesInput) -> DataSource:
    """Return the data with batches in the model's layout."""
    dims: tuple[int, ...] = getattr(model, "batch_dims", ())
    return PlacedData(data, dims) if any(dims) else data


@dataclass(frozen=True)
class PlacedData:
    """A :class:`DataSource` whose batches have their samples along other dimensions than 0; labels keep them there."""

    given: DataSource
    dims: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.given.name

    @property
    def num_classes(self) -> int | None:
        return self.given.num_classes

    @property
    def input_shape(self) -> InputShape:
        return self.given.input_shape

    @property
    def calibration_images(self) -> int:
        return self.given.calibration_images

    @property
    def evaluation_images(self) -> int:
        return self.given.evaluation_images

    def calibration(self, images: int, batch_size: int = CALIBRATION_BATCH, seed: int = 0) -> Iterator[Any]:
        """Yield the inputs of the source; see :class:`DataSource`."""
        return (self._placed(inputs) for inputs in self.given.calibration(images, batch_size, seed))

    def evaluation(self, batch_size: int = EVALUATION_BATCH, limit: int | None = None) -> Iterator[tuple[Any, Any]]:
        """Yield the inputs of the source with their labels; see :class:`DataSource`."""
        return ((self._placed(inputs), labels) for inputs, labels in self.given.evaluation(batch_size, limit))

    def _placed(self, inputs: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
        if isinstance(inputs, tuple):
            return tuple(placed_in(x, dim) for x, dim in zip(inputs, self.dims, strict=True))
        return placed_in(inputs, self.dims[0])
