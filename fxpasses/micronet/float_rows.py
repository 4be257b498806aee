"""Rows of a FLOAT graph: storage and operations of each node, for one example."""

from __future__ import annotations

import math

from torch import Tensor, fx, nn

from ..graph.edit import has_trait, is_floating_point, operator_name
from ..graph.meta_keys import DTYPE, SHAPE
from ..graph.operator_table import VOCABULARY
from ..graph.operators import Operator, Trait
from ..graph.shapes import shape_of
from ..macs import WholeSizes, batch_of, macs_by_node
from .rows import Row, Widths
from .sample_values import values_of_one
from .storage import FLOAT_BITS, Stored, dtype_bits, plain, weight_of
from .work import PER_VALUE, Work, dot_products, pooled

_FREE = frozenset(
    "cat flatten reshape permute transpose squeeze unsqueeze chunk split unbind slice pixel_shuffle expand roll pad "
    "identity embedding".split()
)
"""Operators that only move values or look them up; nearest interpolation is one, and its other
modes are not counted.
"""

_POOLS = frozenset({Trait.AVERAGES, Trait.MAXIMA})
_DOT_PRODUCTS = frozenset("conv1d conv2d conv3d linear".split())


class FloatRows:
    """Makes the rows of nodes one after the other, and records operators without a rule."""

    def __init__(self, gm: fx.GraphModule, widths: Widths) -> None:
        self.gm, self.widths = gm, widths
        self.batch = batch_of(gm)
        self.values = values_of_one(gm)
        """Number of values in a node's tensor for one example."""
        self.macs = dict(macs_by_node(gm, WholeSizes()))
        self.seen: set[str] = set()
        self.uncounted: list[str] = []

    def row(self, node: fx.Node) -> Row | None:
        """Return the row of a node; None if it neither stores nor computes anything."""
        name = operator_name(self.gm, node)
        if node.op == "get_attr":
            return self._constant(node)
        if node.op not in ("call_module", "call_function", "call_method") or not self._is_counted(node):
            return None
        if node.op == "call_module":
            return self._module(node, name)
        work = self.function(node, name)
        stored = _STORES[name](node) if name in _STORES else ()
        return None if work is None else Row(node.name, name or str(node.target), stored, (work,))

    def input_bits(self, node: fx.Node) -> int:
        """Width in bits of the values that a node reads."""
        source = next((n for n in node.all_input_nodes if is_floating_point(n)), None)
        return self.width(source) if source is not None else self.widths.activation_bits or FLOAT_BITS

    def width(self, source: fx.Node) -> int:
        """Width in bits of a tensor's values: 1 for signs, else as asked for, else that of its dtype."""
        if has_trait(self.gm, source, Trait.SIGNS):
            return 1
        if operator_name(self.gm, source) in _FREE and source.all_input_nodes:
            return self.width(source.all_input_nodes[0])
        dtype = source.meta.get(DTYPE)
        return self.widths.activation_bits or (FLOAT_BITS if dtype is None else dtype_bits(dtype))

    def _is_counted(self, node: fx.Node) -> bool:
        return node in self.macs or isinstance(node.meta.get(SHAPE), (tuple, list))

    def _first(self, path: str) -> bool:
        """Whether a module's parameters were not counted before: they are stored once, even if it is called several
        times.
        """
        fresh = path not in self.seen
        self.seen.add(path)
        return fresh

    def _constant(self, node: fx.Node) -> Row | None:
        holder, _, attribute = str(node.target).rpartition(".")
        value = getattr(self.gm.get_submodule(holder), attribute, None)
        if not isinstance(value, Tensor) or not self._first(str(node.target)):
            return None
        return Row(node.name, "constant", plain("value", value, self._parameter_bits(value)), ())

    def _parameter_bits(self, value: Tensor) -> int | None:
        return self.widths.weight_bits if value.is_floating_point() else None

    def _module(self, node: fx.Node, name: str | None) -> Row | None:
        module = self.gm.get_submodule(str(node.target))
        fresh = self._first(str(node.target))
        if name in _DOT_PRODUCTS:
            return self._layer(node, name, module, fresh=fresh)
        stored = self._everything(node, module) if fresh else ()
        if node in self.macs:
            macs, bits = self.macs[node], self.input_bits(node)
            if has_trait(self.gm, node, Trait.OPAQUE):
                self.not_counted(f"what {name} computes beside its products")
            width = max(bits, max((s.bits for s in stored), default=bits))
            return Row(node.name, name or type(module).__name__, stored, (Work(macs, width, macs, macs=macs),))
        work = self.function(node, name)
        return Row(node.name, name or type(module).__name__, stored, () if work is None else (work,))

    def _everything(self, node: fx.Node, module: nn.Module) -> tuple[Stored, ...]:
        """All tensors of a module; of an unmerged BatchNorm, one number for each channel."""
        if has_trait(self.gm, node, Trait.NORMALIZES):
            return plain("bias", getattr(module, "bias", None), self.widths.weight_bits) or plain(
                "bias", getattr(module, "running_mean", None), self.widths.weight_bits
            )
        found: tuple[Stored, ...] = ()
        for path, value in (*module.named_parameters(), *module.named_buffers()):
            wide = value.dim() > 1 and value.is_floating_point()
            weight = weight_of(value, self._parameter_bits(value), self.widths.block).stored if wide else ()
            found += tuple(Stored(path, *_sizes(s)) for s in weight) or plain(path, value, self._parameter_bits(value))
        return found

    def _layer(self, node: fx.Node, name: str, module: nn.Module, *, fresh: bool) -> Row:
        value, bias = module.weight, module.bias
        assert isinstance(value, Tensor) and (bias is None or isinstance(bias, Tensor))
        weight = weight_of(value, self.widths.weight_bits, self.widths.block)
        outputs = self.values(node)
        is_float = self.widths.activation_bits is None
        work = dot_products(
            weight,
            outputs // len(value),
            self.input_bits(node),
            is_float=is_float and not self._reads_signs(node),
            bias=bias is not None,
        )
        scaling = (Work(outputs, FLOAT_BITS, 0),) if weight.signs else ()
        stored = (*weight.stored, *plain("bias", bias, self.widths.weight_bits)) if fresh else ()
        return Row(node.name, name, stored, (work, *scaling))

    def _reads_signs(self, node: fx.Node) -> bool:
        return self.input_bits(node) == 1

    def function(self, node: fx.Node, name: str | None) -> Work | None:
        outputs, bits = self.values(node), self.input_bits(node)
        if node in self.macs:
            macs = self.macs[node]
            return Work(macs, bits, max(macs - outputs, 0), macs=macs)
        made_of_nothing = node.op != "call_module" and not any(map(is_floating_point, node.all_input_nodes))
        if (
            made_of_nothing
            or name in _FREE
            or not is_floating_point(node)
            or getattr(node.target, "__name__", "") in _FREE
        ):
            return None
        if name in PER_VALUE:
            multiplies, adds = PER_VALUE[name]
            return Work(multiplies * outputs, bits, adds * outputs)
        operator = VOCABULARY.by_name.get(name or "")
        if operator is not None and _POOLS & operator.traits:
            return self.pool(node, operator, outputs, bits)
        if name in _STORES:
            return Work(outputs, bits, 0)
        if operator is not None and operator.selects is not None and operator.selects(node):
            return None
        self.not_counted(name or str(getattr(node.target, "__name__", node.target)))
        return None

    def pool(self, node: fx.Node, operator: Operator, outputs: int, bits: int) -> Work:
        """Work of an average or maximum over windows: those of a kernel, or all that one output is made of."""
        if "kernel_size" not in operator.settings:
            window = max(self.values(node.all_input_nodes[0]) // max(outputs, 1), 1)
        else:
            dims, size = operator.window_dims or 0, node.kwargs.get("kernel_size", 1)
            window = math.prod(size) if isinstance(size, (tuple, list)) else int(str(size)) ** dims
        is_float = self.widths.activation_bits is None
        return pooled(outputs, window, bits, average=Trait.MAXIMA not in operator.traits, is_float=is_float)

    def not_counted(self, what: str) -> None:
        if what not in self.uncounted:
            self.uncounted.append(what)


def _sizes(stored: Stored) -> tuple[int, int, int, int]:
    return stored.elements, stored.kept, stored.bits, stored.mask_bits


def _permutation(node: fx.Node) -> tuple[Stored, ...]:
    """Stored matrix of a channel shuffle, which the challenge counts as a product with a sparse matrix of ones."""
    channels = (shape_of(node) or (1, 1))[1]
    return (Stored("permutation", channels * channels, channels, 1, channels * channels),)


_STORES = {"channel_shuffle": _permutation}
"""Stored numbers of operators without parameters, by operator: each value is multiplied once by one of them."""
