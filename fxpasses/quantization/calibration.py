"""Run calibration data through an OBSERVED graph. A step, not a pass: it changes no node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, fx

from ..errors import FxPassesError, GraphError, InputError
from ..stages import Stage, check_stage, graph_facts
from .activations_in_place import with_activations_in_place
from .first_samples import batches_of
from .observers import MovingAverageObserver


def calibrate(gm: fx.GraphModule, batches: Iterable[Any], progress: Callable[[int], None] | None = None) -> int:
    """Feed batches to the observers; memory does not grow with their number.

    Args:
        gm: an OBSERVED graph; its observers take in what they see. Calling again adds to it.
        batches: tensors, or tuples of all the model's inputs. Labels do not belong here.
        progress: called with the number of samples of each batch as it is done.

    Returns:
        The number of samples seen.

    Raises:
        InputError: no batches, a batch of another shape than the example inputs, or NaN or infinity in one.
        GraphError: the graph is not OBSERVED; or an activation becomes NaN or infinite, naming the node.
    """
    check_stage(gm, Stage.OBSERVED, "calibrate")
    seen = 0
    fast, _ = with_activations_in_place(gm)
    for inputs in checked_batches(gm, batches):
        with torch.inference_mode():
            for piece in pieces(gm, inputs):
                _observe_piece(gm, fast, piece)
        samples = int(inputs[0].shape[0])
        seen += samples
        if progress is not None:
            progress(samples)
    return seen


def checked_batches(gm: fx.GraphModule, batches: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    """Each batch as a tuple of the graph's inputs.

    Raises:
        InputError: when it comes to a batch that does not fit, or to the end without one sample.
    """
    expected, seen = graph_facts(gm)["example_inputs"], 0
    for number, batch in enumerate(batches_of(batches)):
        inputs = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
        _check_batch(number, inputs, expected)
        if any(isinstance(x, Tensor) and not x.numel() for x in inputs):
            continue  # the last batch of a loader may be empty
        seen += int(inputs[0].shape[0])
        yield inputs
    if not seen:
        raise InputError(
            "calibration data", why="it is empty", fix="pass at least one batch; 100 to 500 images do well"
        )


PIECE = 4 * 3 * 224 * 224
"""Input values run at a time: four images of 224x224. One by one, observers spend their time on calling small operators
(mobilenet_v2: 24 ms an image, 14 in fours); of eight, tensors are so large that memory is mapped and given back."""


def _observe_piece(gm: fx.GraphModule, fast: fx.GraphModule, piece: tuple[Any, ...]) -> None:
    try:
        fast(*piece)
    except FxPassesError:
        _Calibration(gm).run(*piece)  # the same once more, node by node, to name the node
        raise


def pieces(gm: fx.GraphModule, inputs: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """The batch in pieces, images with channels last; whole where a range depends on what makes a batch."""
    whole = any(isinstance(m, MovingAverageObserver) for m in gm.modules()) or is_fixed_batch(gm)
    if whole or not all(isinstance(x, Tensor) and x.dim() for x in inputs):
        yield inputs
        return
    samples = max(1, int(inputs[0].shape[0]))
    step = max(1, PIECE * samples // max(1, inputs[0].numel()))
    for piece in zip(*(x.split(step) for x in inputs), strict=True):
        yield tuple(x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x for x in piece)


def is_fixed_batch(gm: fx.GraphModule) -> bool:
    """Whether the graph was captured for one batch size and takes no other."""
    return "one batch size" in str(graph_facts(gm).get("method", ""))


class _Calibration(fx.Interpreter):
    """Tells which node an observer objected at."""

    def run_node(self, n: fx.Node) -> Any:
        try:
            return super().run_node(n)
        except FxPassesError as error:
            source = n.args[0] if n.args and isinstance(n.args[0], fx.Node) else n
            raise GraphError.at_node(
                source,
                why=str(error).splitlines()[0],
                fix="run the float model on this data and look where its values leave the float range",
                step="calibrate",
            ) from error


def _check_batch(number: int, inputs: Any, expected: tuple[Any, ...]) -> None:
    what = f"calibration batch {number}"
    if len(inputs) != len(expected):
        raise InputError(
            what,
            why=f"it has {len(inputs)} inputs, the model takes {len(expected)}",
            fix="yield a tensor, or a tuple of exactly the model's inputs (no labels)",
        )
    for x, example in zip(inputs, expected, strict=True):
        if not isinstance(example, tuple):
            continue
        shape, dtype = example
        if not isinstance(x, Tensor):
            raise InputError(
                what,
                why=f"it holds a {type(x).__name__} where the model takes a tensor",
                fix="yield a tensor, or a tuple of exactly the model's inputs (no labels)",
            )
        if tuple(x.shape[1:]) != shape[1:] or x.dtype != dtype:
            raise InputError(
                what,
                why=f"it is {tuple(x.shape)} {x.dtype}; the model was captured for {('batch', *shape[1:])} {dtype}",
                fix="preprocess calibration data exactly as the example inputs",
            )
        if x.is_floating_point() and not bool(torch.isfinite(x).all()):
            raise InputError(what, why="it holds NaN or infinity", fix="check the preprocessing of that data")
