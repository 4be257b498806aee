"""The remedy for a factory whose module does not take the images that are assumed where it gives no inputs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fxpasses.capturing.checks import ExampleInputsError
from fxpasses.errors import GraphError
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.users.user_code import is_user_code


@contextmanager
def told_what_to_return(model: LoadedModel) -> Iterator[None]:
    """Say what the caller's factory has to return, if its module fails on inputs that it did not give.

    Raises:
        GraphError: the module fails on its example inputs.
    """
    try:
        yield
    except ExampleInputsError as error:
        if model.examples or not is_user_code(model.name):
            raise
        fix = "let the factory return (module, (C, H, W)), or (module, example_inputs): a tuple of tensors"
        raise GraphError(error.what, why=error.why, fix=fix, at=error.at, step=error.step) from error
