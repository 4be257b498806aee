"""Captures the model of a command so that it takes the batches of data: the batch is free wherever it is."""

from __future__ import annotations

from torch import fx

from fxpasses.capturing.attempts import Method, capture
from fxpasses.capturing.checks import require_float_source
from fxpasses.capturing.dynamic_sizes import Dynamic, image_sizes
from fxpasses.errors import InputError
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.signature.examples import named_tensors, specs_of
from fxpasses.signature.free_sizes import BATCH
from fxpasses.signature.model_call import argument_names
from fxpasses.signature.samples import batch_dims

from .factory_inputs import told_what_to_return


def captured_model(model: LoadedModel, *, dynamic_size: bool = False, method: Method = "auto") -> fx.GraphModule:
    """Capture a model on its example inputs.

    Args:
        dynamic_size: whether height and width of images are free, too.
        method: as for :func:`fxpasses.capture`.

    Raises:
        InputError: the graph takes batches of one size alone, or has no images whose size could be free.
        GraphError: the model cannot be captured.
    """
    require_float_source(model.module)
    inputs = model.example_inputs()
    sizes = image_sizes(model.module, inputs) if dynamic_size else {}
    batch = _free_batch(model)
    free = {name: {**sizes.get(name, {}), **batch.get(name, {})} for name in {**sizes, **batch}}
    with told_what_to_return(model):
        graph = capture(model.module, inputs, dynamic=free or None, method=method)
    if all(dim is None for dim in batch_dims(graph)):
        raise InputError(
            f"{model.name} takes batches of one size",
            why="its forward makes Python numbers of the batch, which a graph keeps, or mixes its samples",
            fix="take sizes from tensors where they are needed, x.shape[0]; or fx.quantize(model, x, batches) in "
            "Python, with batches of that size",
        )
    return graph


def _free_batch(model: LoadedModel) -> Dynamic:
    """The batch dimensions by name of the input; none if they are 0, which capture tries by itself."""
    inputs = model.example_inputs()
    tensors = named_tensors(argument_names(model.module.forward, inputs), specs_of(inputs))
    return {tensor.name: {dim: BATCH} for tensor, dim in zip(tensors, model.batch_dims, strict=False)}
