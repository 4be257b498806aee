"""Checks of a model before capture, and of the captured graph against the model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from ..callers_code import is_a_failure
from ..errors import GraphError
from ..graph.edit import operator_name
from ..graph.operator_table import VOCABULARY
from ..graph.shapes import shape_of
from ..signature.examples import tensors_in
from ..signature.model_call import called
from ..signature.outputs import leaves_of
from ..user_frames import first_line, users_frame

_QUANTIZED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.nn.quantized")
_PREPARED = ("torch.ao.quantization.fake_quantize", "torch.ao.quantization.observer", "torch.ao.nn.qat",
             "torch.ao.nn.intrinsic.qat")  # fmt: skip
_FLOAT = frozenset({"FloatFunctional", "FXFloatFunctional"})
"""Modules among the quantized ones that add and multiply floats, as in ``torchvision.models.quantization``."""
CAPTURE_TOLERANCE = 1e-5
"""Largest difference between model and captured graph, as a share of the largest output.

Their kernels are the same, but may add in another order (attention is one fused kernel in one of them, and several
operators in the other).
"""


def require_eval(model: nn.Module) -> None:
    """Raise GraphError unless every module is in eval mode, also modules that are not called at present."""
    if isinstance(model, fx.GraphModule) and "eval" in vars(
        model
    ):  # of torch.export: its operators say how they compute
        return
    training = [name or type(model).__name__ for name, module in model.named_modules() if module.training]
    if training:
        raise GraphError(
            f"{type(model).__name__} is in training mode ({training[0]}{' and others' if len(training) > 1 else ''})",
            why="dropout and BatchNorm compute something else in training than in deployment",
            fix="capture(model.eval(), example_inputs)",
            step="capture",
        )


def require_float_source(model: nn.Module) -> None:
    """Raise GraphError for what is no module, a model of TorchScript, or one that torch.ao.quantization has changed."""
    if not isinstance(model, nn.Module):
        raise GraphError(
            f"a {type(model).__name__} in place of a model",
            why="capture takes an nn.Module",
            fix="call it in the forward of an nn.Module that has its layers as attributes, and capture that",
            step="capture",
        )
    if isinstance(model, torch.jit.ScriptModule):
        raise GraphError(
            f"{type(model).__name__} is a model of TorchScript",
            why="there is no Python of its forward that could be traced, and torch.export takes none",
            fix="capture the nn.Module that was scripted or traced, and load the weights into it: model.state_dict()",
            step="capture",
        )
    for name, module in model.named_modules():
        kind = type(module)
        if kind.__module__.startswith(_QUANTIZED) and kind.__name__ not in _FLOAT:
            raise GraphError(
                f"{name or type(model).__name__} is a layer of torch.ao.quantization ({kind.__name__})",
                why="it is quantized already, and its float weights are gone",
                fix="capture the float model that it was made from",
                step="capture",
            )
        if kind.__module__.startswith(_PREPARED):
            raise GraphError(
                f"{name or type(model).__name__} is a part of torch.ao.quantization ({kind.__name__})",
                why="the model is prepared there, and rounds or records its values itself",
                fix="capture the float model that it was made from, before prepare",
                step="capture",
            )


class ExampleInputsError(GraphError):
    """The model itself fails on the example inputs."""


def require_values(model: nn.Module, inputs: tuple[Any, ...]) -> None:
    """Raise GraphError for tensors on the meta device, which have sizes but no values: a captured graph is run."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    tensors += [(f"input {n}", x) for n, x in enumerate(tensors_in(inputs))]
    empty = next((name for name, x in tensors if x.is_meta), None)
    if empty is not None:
        raise GraphError(
            f"{empty} of {type(model).__name__} is on the meta device",
            why="it has a size and no values",
            fix="give it values: model.to_empty(device='cpu'), then model.load_state_dict(...); inputs on the CPU",
            step="capture",
        )


def run_model(model: nn.Module, inputs: tuple[Any, ...], keywords: tuple[str, ...] = ()) -> Any:
    """The model's own output, for copies of the inputs, because a model may change them in place."""
    dtype = torch.get_default_dtype()
    try:
        with torch.no_grad():
            output = called(model, _copies(inputs), keywords)
    except BaseException as error:  # a model's forward may raise anything, and the caller has to correct it
        if not is_a_failure(error):
            raise
        shapes = [tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__ for x in inputs]
        raise ExampleInputsError(
            f"{type(model).__name__} does not run on the example inputs {shapes}",
            why=first_line(error),
            fix="pass example inputs the model accepts: a tuple with one entry for each argument of forward",
            at=users_frame(error),
            step="capture",
        ) from error
    if torch.get_default_dtype() != dtype:
        changed = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        raise GraphError(
            f"the forward of {type(model).__name__} changes torch's default dtype to {changed}",
            why="everything after it would be computed with it",
            fix="give dtype= to the calls that need it",
            step="capture",
        )
    return output


def require_plain_output(model: nn.Module, output: Any) -> None:
    """Raise GraphError unless the output consists of tensors, numbers, strings and plain structures of them."""
    for leaf in leaves_of(output):
        if leaf is not None and not isinstance(leaf, (Tensor, int, float, str)):
            raise GraphError(
                f"{type(model).__name__} returns a {type(leaf).__name__}",
                why="a graph returns tensors, or tuples, lists, dicts and dataclasses of them",
                fix="wrap the model in a module that returns a tensor, a tuple or a dict",
                step="capture",
            )


def require_layers_in_sight(model: nn.Module, gm: fx.GraphModule) -> None:
    """Raise GraphError if a function that is kept whole (wrapped for torch.fx) computes with a layer's weights."""
    for node in gm.graph.nodes:
        if node.op != "call_function" or operator_name(gm, node) is not None:
            continue
        for read in node.all_input_nodes:
            layer = str(read.target).rpartition(".")[0]
            if read.op == "get_attr" and _is_layer(model, layer):
                raise GraphError.at_node(
                    node,
                    why=f"it is wrapped for torch.fx and hides the layer {layer}, which would stay in float",
                    fix="capture(..., method='export')",
                    step="capture",
                )


def require_batches(gm: fx.GraphModule) -> None:
    """Raise GraphError if a convolution reads a single image: torch accepts it, but its int8 kernels need batches."""
    for node in gm.graph.nodes:
        layer = gm.get_submodule(str(node.target)) if node.op == "call_module" else None
        weight = getattr(layer, "weight", None)
        source = node.args[0] if node.args else None
        if not isinstance(layer, _CONVOLUTIONS) or not isinstance(weight, Tensor) or not isinstance(source, fx.Node):
            continue
        if len(shape_of(source) or ()) == weight.dim() - 1:
            raise GraphError.at_node(
                node,
                why=f"it reads one sample of shape {list(shape_of(source) or ())}, and no batch",
                fix="capture with a batch, as x[None], or have the model do y = layer(x[None])[0]",
                step="capture",
            )


_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def _is_layer(model: nn.Module, path: str) -> bool:
    """Whether int8 has kernels for the module at ``path``; names made by capture are no modules of the model."""
    module = dict(model.named_modules()).get(path)
    operator = None if module is None else VOCABULARY.layer(module)
    return operator is not None and operator.weight_axis is not None


def _copies(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    copies: tuple[Any, ...] = pytree.tree_map(lambda x: x.clone() if isinstance(x, Tensor) else x, inputs)
    return copies


def require_equal(gm: fx.GraphModule, inputs: tuple[Any, ...], expected: Any) -> None:
    """Run the graph and compare it with the model's output; raise DifferentGraph with the difference."""
    try:
        with torch.no_grad():
            found = gm(*_copies(inputs))
    except Exception as error:  # a wrongly specialised graph raises whatever its kernels raise
        raise _differs(gm, f"it does not run: {first_line(error)}") from error
    ours, theirs = list(leaves_of(found)), list(leaves_of(expected))
    if len(ours) != len(theirs):
        raise _differs(gm, f"it returns {len(ours)} values, the model {len(theirs)}")
    for a, b in zip(ours, theirs, strict=True):
        why = why_different(a, b)
        if why:
            raise _differs(gm, why)


def why_different(found: Any, expected: Any) -> str | None:
    """Description of a difference of two outputs beyond rounding; None if there is none."""
    if not isinstance(found, Tensor) or not isinstance(expected, Tensor):
        same = type(found) is type(expected) and found == expected
        return None if same else f"an output is {_shown(found)}, of the model {_shown(expected)}"
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return f"an output is {found.dtype} {tuple(found.shape)}, of the model {expected.dtype} {tuple(expected.shape)}"
    if not found.is_floating_point():
        return None if torch.equal(found, expected) else "outputs of whole numbers differ"
    finite = expected[expected.isfinite()].abs()
    allowed = CAPTURE_TOLERANCE * (finite.max().item() if finite.numel() else 1.0)
    if torch.allclose(found, expected, rtol=0.0, atol=allowed, equal_nan=True):
        return None
    return f"outputs differ by {(found - expected).abs().max().item():.3g}"


def _shown(value: Any) -> str:
    return f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)


class DifferentGraph(GraphError):
    """The captured graph runs, but gives other results than the model."""


def _differs(gm: fx.GraphModule, why: str) -> GraphError:
    return DifferentGraph(
        f"the captured graph of {type(gm).__name__} computes something else than the model",
        why=why,
        fix="look for Python values computed from inputs, which a graph fixes at what they were while capturing",
        step="capture",
    )


def require_same_twice(
    model: nn.Module, inputs: tuple[Any, ...], expected: Any, keywords: tuple[str, ...] = ()
) -> None:
    """Raise GraphError if the model gives other results when called again, which no graph can reproduce."""
    again = run_model(model, inputs, keywords)
    why = next((w for w in map(why_different, leaves_of(again), leaves_of(expected)) if w), None)
    if why:
        raise GraphError(
            f"{type(model).__name__} computes something else when it is called again with the same inputs",
            why=f"{why}: it is random, or keeps state between calls",
            fix="make forward a function of its inputs: no randomness in eval mode, no state that it changes",
            step="capture",
        )


def require_equal_for_one(
    model: nn.Module, gm: fx.GraphModule, inputs: tuple[Any, ...], keywords: tuple[str, ...] = ()
) -> None:
    """Compare graph and model on the first sample alone: torch.export does not treat a batch of one separately."""
    batches = [x.shape[0] for x in pytree.tree_leaves(inputs) if isinstance(x, Tensor) and x.dim()]
    if not batches or batches[0] < 2:
        return

    def first(value: Any) -> Any:
        return value[:1] if isinstance(value, Tensor) and value.dim() and value.shape[0] == batches[0] else value

    one = pytree.tree_map(first, inputs)
    try:
        expected = run_model(model, one, keywords)
    except GraphError:
        return  # the model takes no batch of one, so the graph need not
    require_equal(gm, one, expected)
