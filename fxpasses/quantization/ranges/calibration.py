"""Run calibration data through an OBSERVED graph. This is a step and not a pass: it changes no node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from ...errors import FxPassesError, GraphError, InputError
from ...graph.devices import moved, on_device, usable_device, without_tf32
from ...graph.stages import Stage, check_stage
from ...signature.examples import argument_names_of, examples_of, inputs_of, tensors_in
from ...signature.input_check import check_inputs
from ...signature.samples import batch_dims, count_samples, pieces_of
from .activations_in_place import with_activations_in_place
from .first_samples import batches_of
from .labelled_batches import without_labels
from .observers import MovingAverageObserver, Observer


def calibrate(
    gm: fx.GraphModule,
    batches: Iterable[Any],
    progress: Callable[[int], None] | None = None,
    *,
    device: str | torch.device | None = None,
) -> int:
    """Feed batches to the observers; memory does not grow with their number.

    Args:
        gm: an OBSERVED graph; its observers record the data. Another call adds to it.
        batches: tensors, tuples of all the model's inputs, or dicts of them by name; labels after them are ignored.
        progress: called with the number of samples of each batch as it is done.
        device: where to run, ``"cuda"`` for one; the graph is back on the CPU afterwards. Nothing is read from a GPU
            until all batches have passed: NaN and infinity are told then.

    Returns:
        The number of samples seen.

    Raises:
        InputError: no such device; no batches, a batch of another shape than the example inputs, or NaN or infinity in
            one.
        GraphError: the graph is not OBSERVED; or an activation becomes NaN or infinite (the message names the node).
    """
    check_stage(gm, Stage.OBSERVED, "calibrate")
    seen = 0
    place = torch.device("cpu") if device is None else usable_device(device)
    with moved(gm, place), without_tf32(place):
        fast, _ = with_activations_in_place(gm)
        for inputs in checked_batches(gm, batches):
            with torch.inference_mode():
                for piece in pieces(gm, inputs):
                    _observe_piece(gm, fast, on_device(piece, place))
            samples = count_samples(gm, inputs)
            seen += samples
            if progress is not None:
                progress(samples)
        _settle(gm)
    return seen


def _settle(gm: fx.GraphModule) -> None:
    """Let every observer read what it kept on another device, in the order of the graph: the first one that finds NaN
    or infinity observes the tensor in which they arise.
    """
    for node in gm.graph.nodes:
        observer = gm.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(observer, Observer):
            try:
                observer.settle()
            except FxPassesError as error:
                raise _at_observer(node, error) from error


def checked_batches(gm: fx.GraphModule, batches: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    """Each batch as a tuple of the graph's inputs.

    Raises:
        InputError: a batch does not fit, or there was no sample at all.
    """
    seen = 0
    for number, batch in enumerate(batches_of(batches)):
        what = f"calibration batch {number}"
        inputs = inputs_of(gm, without_labels(batch, argument_names_of(gm), examples_of(gm)), what)
        check_inputs(gm, inputs, what)
        if any(not x.numel() for x in tensors_in(inputs)):
            continue  # the last batch of a loader may be empty
        seen += count_samples(gm, inputs)
        yield inputs
    if not seen:
        raise InputError(
            "calibration data", why="it is empty", fix="pass at least one batch; 100 to 500 images do well"
        )


PIECE = 4 * 3 * 224 * 224
"""Input values run at a time: four images of 224x224.

With single images observers spend their time on calling small operators;
with eight images tensors are so large that the system maps and unmaps their memory each time.
"""


def _observe_piece(gm: fx.GraphModule, fast: fx.GraphModule, piece: tuple[Any, ...]) -> None:
    try:
        fast(*piece)
    except FxPassesError:
        _Calibration(gm).run(*piece)  # run again, node by node, to name the node in the message
        raise


def pieces(gm: fx.GraphModule, inputs: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """The batch in pieces, images as channels last; not split if an observer's range depends on the batches."""
    if any(isinstance(m, MovingAverageObserver) for m in gm.modules()):
        yield inputs
        return
    values = next((x.numel() for x, d in zip(tensors_in(inputs), batch_dims(gm), strict=True) if d is not None), 0)
    step = max(1, PIECE * count_samples(gm, inputs) // max(1, values))
    for piece in pieces_of(gm, inputs, step):
        yield pytree.tree_map(_channels_last, piece)


def _channels_last(x: Any) -> Any:
    return x.contiguous(memory_format=torch.channels_last) if isinstance(x, Tensor) and x.dim() == 4 else x


class _Calibration(fx.Interpreter):
    """Run a graph node by node, and name the node at which an observer raised an error."""

    def run_node(self, n: fx.Node) -> Any:
        try:
            return super().run_node(n)
        except FxPassesError as error:
            raise _at_observer(n, error) from error


def _at_observer(node: fx.Node, error: FxPassesError) -> GraphError:
    """The error of an observer as one of the node that it observes."""
    return GraphError.at_node(
        node.args[0] if node.args and isinstance(node.args[0], fx.Node) else node,
        why=str(error).splitlines()[0],
        fix="run the float model on this data and look where its values leave the float range",
        step="calibrate",
    )
