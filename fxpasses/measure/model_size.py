"""Size of a model: bytes, parameters, and multiply-accumulates.

MACs of a captured graph are counted from its shapes (:mod:`fxpasses.macs`), with ptflops for comparison; those of any
other module by ptflops alone. ptflops counts ATen operators: the products in convolutions, linear layers, matrix
products and attention, and one per added bias; for one sample of the batch. An int8 graph has the same MACs as its
float graph: count that one.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from fxpasses.graph.stages import Stage, graph_facts, stage_of
from fxpasses.macs import count_graph_macs
from fxpasses.signature.samples import count_samples

_INTEGER_BUFFERS = ("weight", "bias")
_ZERO_OP = re.compile(r"Warning: (\S+) operation is treated as a zero-op")
_MULTIPLIES = re.compile(r"attention|linear|conv|matmul|einsum|(^|_)\w?mm(_|$)|rnn|lstm|gru|fft|quantized|onednn")


@dataclass(frozen=True)
class ParameterCount:
    """Number of weights and biases, and number of those that are not zero."""

    params: int
    nonzero: int


@dataclass(frozen=True)
class MacCount:
    """Multiply-accumulates for one sample.

    Attributes:
        macs: None if the model could not be counted.
        uncounted: operators with products that ptflops cannot count and leaves out.
        why: the reason if ptflops has no count.
        ptflops: its count, if ``macs`` comes from the shapes of a graph.
    """

    macs: int | None
    uncounted: tuple[str, ...] = ()
    why: str | None = None
    ptflops: int | None = None

    @property
    def difference_percent(self) -> float | None:
        """Difference of ptflops' count in percent; None if there is only one count."""
        return None if not self.macs or self.ptflops is None else 100 * (self.ptflops / self.macs - 1)

    def to_json(self) -> dict[str, object]:
        """Content of report.json's ``macs``."""
        return {"macs": self.macs, "ptflops": self.ptflops, "difference_percent": self.difference_percent}


def module_bytes(module: nn.Module) -> int:
    """Bytes of all parameters and buffers, each counted once."""
    tensors = {id(t): t for t in (*module.parameters(), *module.buffers())}
    return sum(t.numel() * t.element_size() for t in tensors.values())


def count_parameters(module: nn.Module) -> ParameterCount:
    """Weights and biases of a float module, or of a QUANTIZED graph, in which they are integers.

    BatchNorm's running statistics are no parameters; if folded, they are part of a convolution's parameters.
    """
    tensors: list[Tensor] = list(module.parameters())
    if isinstance(module, fx.GraphModule) and stage_of(module) is Stage.QUANTIZED:
        tensors += [t for name, t in module.named_buffers() if _is_integer_parameter(name, t)]
    return ParameterCount(sum(t.numel() for t in tensors), sum(int(torch.count_nonzero(t)) for t in tensors))


def count_macs(module: nn.Module, example_inputs: Sequence[Any]) -> MacCount:
    """Multiply-accumulates of one sample: for a FLOAT graph from its shapes, for other modules by running them once.

    Args:
        module: in eval mode; it is not changed.
        example_inputs: its inputs; dimension 0 is the batch, except for graphs that know it better.
    """
    counted = _by_ptflops(module, example_inputs, _samples(module, example_inputs))
    if not isinstance(module, fx.GraphModule) or stage_of(module) is not Stage.FLOAT:
        return counted
    return MacCount(count_graph_macs(module), counted.uncounted, counted.why, counted.macs)


def _samples(module: nn.Module, example_inputs: Sequence[Any]) -> int:
    """Number of samples in the inputs; without facts about the batch, the size of dimension 0."""
    if isinstance(module, fx.GraphModule) and graph_facts(module).free_sizes is not None:
        return count_samples(module, tuple(example_inputs))
    return len(example_inputs[0])


def _by_ptflops(module: nn.Module, example_inputs: Sequence[Any], items: int) -> MacCount:
    """Multiply-accumulates of one sample in a float module, which is run once and not changed.

    Args:
        module: in eval mode.
        example_inputs: its inputs.
        items: number of samples in them; the count is divided by it.
    """
    from ptflops import get_model_complexity_info

    said, noise = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(noise), contextlib.redirect_stderr(io.StringIO()):
        macs, _ = get_model_complexity_info(
            _Bare(module),
            (1,),
            input_constructor=lambda _: {"inputs": tuple(example_inputs)},
            print_per_layer_stat=False,
            as_strings=False,
            verbose=True,
            ost=said,
            backend="aten",
            custom_modules_hooks=_missing_counts(),
        )
    if macs is None:
        return MacCount(None, why=_last_line(noise.getvalue()))
    ignored = dict.fromkeys(_ZERO_OP.findall(said.getvalue()))
    return MacCount(int(macs) // items, tuple(name for name in ignored if _MULTIPLIES.search(name)))


class _Bare(nn.Module):
    """A module that hides its children from ptflops, which adds hooks to children and does not remove them."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.run = module.forward

    def forward(self, inputs: tuple[Any, ...]) -> object:
        fast_path = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)  # the fast path hides its products in one operator
        try:
            with torch.no_grad():
                return self.run(*inputs)
        finally:
            torch.backends.mha.set_fastpath_enabled(fast_path)


def _missing_counts() -> dict[object, object]:
    """Counts that ptflops lacks: the two matrix products of each head of attention, and an LSTM's products."""

    def products(inputs: Sequence[Any], _: object) -> int:
        query, key, value = inputs[:3]
        pairs = query.shape[:-1].numel() * key.shape[-2]
        return int(pairs * (query.shape[-1] + value.shape[-1]))

    def baddbmm(inputs: Sequence[Any], _: object) -> int:
        return int(inputs[1].numel() * inputs[2].shape[-1])

    def lstm(inputs: Sequence[Any], _: object) -> int:
        steps, weights = inputs[0].shape[:2].numel(), inputs[1:3]
        return int(steps * sum(weight.numel() for weight in weights))

    aten = torch.ops.aten
    return {
        aten.mkldnn_rnn_layer: lstm,
        aten._scaled_dot_product_flash_attention_for_cpu: products,
        aten._scaled_dot_product_attention_math: products,
        aten.scaled_dot_product_attention: products,
        aten.baddbmm: baddbmm,
    }


def _is_integer_parameter(name: str, value: Tensor) -> bool:
    """Whether a buffer holds integer parameters: ``conv1_int8.weight`` does, its scale does not."""
    return not value.is_floating_point() and name.rpartition(".")[2] in _INTEGER_BUFFERS


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "ptflops gave no reason"
